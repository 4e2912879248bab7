"""Says which known vulnerabilities the packages of requirements.lock have, by pip-audit; exit code 1 if there are any.

Where pip-audit can't reach its data, that is said, and no failure: a build machine may know nothing but a mirror.
"""

import json
import subprocess
import sys

COMMAND = (
    "pip-audit",
    "--requirement",
    "requirements.lock",
    "--disable-pip",
    "--progress-spinner",
    "off",
    "--format",
    "json",
)


def main() -> int:
    """The command."""
    ended = subprocess.run(COMMAND, capture_output=True, text=True, check=False)  # noqa: S603 - no word of it is from outside
    try:
        packages = json.loads(ended.stdout)["dependencies"]
    except ValueError:
        reason = ended.stderr.strip().rpartition("\n")[2]
        sys.stdout.write(f"vulnerabilities: not looked up: {reason}\n")
        return 0
    known = [package for package in packages if "vulns" in package]
    if len(known) < len(packages):
        sys.stdout.write(f"vulnerabilities: nothing could be looked up of {len(packages) - len(known)} packages\n")
    found = [(package, each) for package in known for each in package["vulns"]]
    for package, each in found:
        fixed = ", ".join(each["fix_versions"]) or "no version yet"
        sys.stdout.write(f"{package['name']} {package['version']}: {each['id']}, fixed in {fixed}\n")
    if known:
        sys.stdout.write(f"vulnerabilities: {len(found)} known of {len(known)} packages\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
