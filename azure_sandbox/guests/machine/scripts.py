"""The shell scripts that a real machine is given."""

from __future__ import annotations

from pathlib import Path

from .. import Machine, cloud_init
from . import apt_sources
from .disk_image import BUNDLE

# Runs a shell script, which comes from standard input, as root in the machine whose first process is $PID; the arguments
# are its control groups. A group of version 2 that has groups below takes no process.
_ENTER = (
    'for group; do { echo 0 >"$group/cgroup.procs"; } 2>/dev/null || :; done; '
    'exec nsenter --target "$PID" --all --root --wd '
)
_RUN = (
    "env -i HOME=/root USER=root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "
    # The same capabilities as the machine's other processes have (machine_init._DROPPED).
    "setpriv --bounding-set=-dac_read_search,-sys_module,-sys_rawio,-sys_pacct,-sys_time,-mac_override,-mac_admin,"
    "-syslog,-wake_alarm,-block_suspend sh -c "
)
# The script is a file, as the agent of a real VM makes it one, so that its own standard input is empty.
_SCRIPT = "'file=$(mktemp) && cat >$file && chmod 700 $file; sh $file </dev/null; status=$?; rm -f $file; exit $status'"
RUN_AS_ROOT = _ENTER + _RUN + _SCRIPT


def each_boot(machine: Machine, index_url: str) -> str:
    """The script of every boot: the machine's name, the sandbox's CA, and the package index."""
    name, trusted = machine.computer_name, "/usr/local/share/ca-certificates/sandbox.crt"
    pip = f"[global]\ncert = {BUNDLE}\n" + (f"index-url = {index_url}\n" if index_url else "")
    return "\n".join(
        [
            "set -e",
            cloud_init.write("/etc/hostname", f"{name}\n", "644"),
            cloud_init.write("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n", "644"),
            cloud_init.write("/etc/pip.conf", pip, f"{apt_sources.mode([pip]):o}"),
            cloud_init.write(f"{trusted}.new", Path(machine.ca_file).read_text(), "644"),
            f"cmp -s {trusted}.new {trusted} || {{ mv {trusted}.new {trusted}; update-ca-certificates >/dev/null 2>&1; }}",
            f"rm -f {trusted}.new",
        ]
    )


def setup_script(index_url: str) -> str:
    """What installs azure-cli: from the package index, as the document's apt source is not reachable from a machine."""
    if not index_url:
        return "echo 'no package index of pip was found on the host when the sandbox was started' >&2\nexit 1\n"
    return f"""set -e
python3 -m venv /opt/az
/opt/az/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check azure-cli
cat >/usr/bin/az <<'END'
#!/bin/sh
export REQUESTS_CA_BUNDLE={BUNDLE}
exec /opt/az/bin/python -Im azure.cli "$@"
END
chmod 755 /usr/bin/az
"""
