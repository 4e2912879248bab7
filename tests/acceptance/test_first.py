import time
from tests.acceptance.conftest import Site

async def test_x(site: Site):
    """x"""
    t=time.monotonic()
    async with site.daemon() as d:
        print("ready", time.monotonic()-t)
        j = await d.api.submit("PULL_NHANH_CUSTOMERS")
        j = await d.api.completed(j["id"])
        print(j, time.monotonic()-t)
        t=time.monotonic()
        assert await d.process.terminate() == 0
        print("term", time.monotonic()-t)
    print(d.process.text)

async def test_e(embedded_site: Site):
    """x"""
    for i in range(3):
        t=time.monotonic()
        async with embedded_site.daemon() as d:
            print("ready", time.monotonic()-t)
            j = await d.api.submit("PULL_NHANH_CUSTOMERS")
            j = await d.api.completed(j["id"])
            print(time.monotonic()-t)
            t=time.monotonic()
            if i:
                await d.process.kill()
            else:
                assert await d.process.terminate() == 0
            print("term", time.monotonic()-t)
    print(d.process.text)
