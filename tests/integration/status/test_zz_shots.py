import asyncio, base64, importlib.util, sys
from datetime import timedelta
from pathlib import Path
from daemon.jobs.model import *
from daemon.jobs import store, failures
from daemon.jobs.failures import DeadLetter
spec = importlib.util.spec_from_file_location("tsp", Path(__file__).parent / "test_status_page.py")
tsp = importlib.util.module_from_spec(spec); spec.loader.exec_module(tsp)

async def test_shots(endpoint, tmp_path):
    e = endpoint
    async with tsp._browsing(tmp_path / "p") as page:
        async def shot(name, w, h, mobile=False, dark=False, full=False):
            await page.call("Emulation.setDeviceMetricsOverride", width=w, height=h, deviceScaleFactor=1, mobile=mobile)
            await page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
            await asyncio.sleep(0.4)
            r = await page.call("Page.captureScreenshot", captureBeyondViewport=full)
            Path(f"/tmp/shots/{name}.png").write_bytes(base64.b64decode(r["data"]))
            print(name, await page.value("[document.documentElement.scrollWidth, innerWidth].join()"))
        Path("/tmp/shots").mkdir(exist_ok=True)
        await page.call("Emulation.setDeviceMetricsOverride", width=1280, height=800, deviceScaleFactor=1, mobile=False)
        await page.open(e.url)
        await page.until("#live", lambda t: t == "Live")
        await shot("empty", 1280, 800)
        for i in range(2):
            await e.ended()
        await e.ended(JobStatus.FAILED)
        j = await e.submit(JobType.PULL_NHANH_CUSTOMERS, filters={"type": 1})
        t = await e.claim(j)
        await e.change(lambda c: failures.insert(c, j.id, [DeadLetter(str(n), "mobile: expected text, got an object", b'{"id": 1, "name": "Nguy\xe1\xbb\x85n"}') for n in range(30)]), j.id)
        await e.progress(j, t, Counters(created=120345, updated=3120, skipped=99880, failed=30), rows_per_second=512.3)
        await e.finish(j, t, JobStatus.COMPLETED)
        j2 = await e.submit(JobType.PULL_NHANH_CUSTOMERS)
        t2 = await e.claim(j2)
        await e.finish(j2, t2, JobStatus.FAILED, "Nhanh.vn refused customer/list: ERR_INVALID_ACCESS_TOKEN, the access token is wrong or has expired. Make a new one on open.nhanh.vn and put it where [stores.main.nhanh] access_token names it, then retry the job. " + "x"*180)
        j3 = await e.submit(JobType.PULL_NHANH_CUSTOMERS)
        t3 = await e.claim(j3)
        await e.change(lambda c: store.describe(c, j3.id, t3, 200000, {"total_is_estimate": True}), j3.id)
        await e.progress(j3, t3, Counters(created=80345, updated=320, skipped=9980, failed=0), rows_per_second=498.7, rate_limit_wait_seconds=754.2, api_calls=312)
        j4 = await e.submit(JobType.PULL_NHANH_PRODUCTS)
        t4 = await e.claim(j4)
        await e.progress(j4, t4, Counters(created=800), rows_per_second=98.7)
        j5 = await e.submit(JobType.NOOP)
        t5 = await e.claim(j5)
        await e.change(lambda c: store.defer(c, j5.id, t5, "Nhanh.vn did not answer (HTTP 502)", timedelta(seconds=75), {}), j5.id)
        await page.click("#schedules", "Pause")
        await page.until("#jobs .status", lambda t: "Completed" in t and "Running" in t)
        await page.until("#schedules .status", lambda t: t == "Paused")
        await shot("desktop", 1280, 800)
        await shot("dark", 1280, 800, dark=True)
        await shot("tablet", 820, 1100)
        await shot("phone", 390, 844, mobile=True)
        await shot("phone-dark", 390, 844, mobile=True, dark=True)
        await page.value("scrollTo(0, 100000)")
        await shot("phone-end", 390, 844, mobile=True)
        await page.value("scrollTo(0, 0)")
        await page.value(f"document.querySelector('[data-id=\"{j.id}\"] .toggle').click()")
        await page.until(".failures li", lambda t: "mobile" in t)
        await page.value("scrollTo(0, 300)")
        await shot("detail", 1280, 800)
        await page.value(f"document.querySelector('[data-id=\"{j.id}\"]').scrollIntoView()")
        await shot("phone-detail", 390, 844, mobile=True)
        print(page.complaints)
