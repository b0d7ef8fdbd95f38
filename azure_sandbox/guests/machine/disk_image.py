"""The root file system that all real machines share: built once from this host's own apt sources, and kept.

It is this host's release of Debian or Ubuntu with what a cloud's image has: systemd, sshd, sudo, curl, Python. Machines
see it through an overlay and never change it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import platformdirs
from filelock import FileLock

from ...errors import SandboxError
from . import apt_sources
from .apt_sources import AptSource

RECIPE = 1  # another number, and every image is built anew
CLOUD_ADDRESS = "10.255.0.1"  # of all the emulated hosts; not in 127/8, where Docker would not check certificates
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_PACKAGES = ("ca-certificates", "curl", "dbus", "gnupg", "iproute2", "kmod", "less", "lsb-release", "openssh-server", "procps",
             "python3", "python3-venv", "sudo", "systemd-sysv")  # fmt: skip
_MASKED = ("apt-daily.timer", "apt-daily-upgrade.timer", "console-getty.service", "dpkg-db-backup.timer", "getty.target",
           "systemd-logind.service", "systemd-networkd.service", "systemd-remount-fs.service", "systemd-udevd.service",
           "systemd-udev-trigger.service", "systemd-modules-load.service", "e2scrub_all.timer", "fstrim.timer",
           "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "modprobe@.service")  # fmt: skip
_CLOUD_INIT = """\
#!/bin/sh
# The part of cloud-init that a machine of the sandbox has.
state() { cat /run/cloud-init/state 2>/dev/null || echo running; }
case "$*" in
  "status --wait") while [ "$(state)" = running ]; do sleep 0.2; done; echo "status: $(state)"; [ "$(state)" = done ] ;;
  status) echo "status: $(state)" ;;
  run-final)
    mkdir -p /run/cloud-init
    result=done
    if [ -e /var/lib/cloud/final.sh ] && [ ! -e /var/lib/cloud/boot-finished ]; then
      sh /var/lib/cloud/final.sh >>/var/log/cloud-init-output.log 2>&1 || result=error
    fi
    mkdir -p /var/lib/cloud && touch /var/lib/cloud/boot-finished
    echo "Cloud-init finished." >>/var/log/cloud-init-output.log
    echo $result >/run/cloud-init/state ;;
  *) echo "cloud-init of the sandbox's machine has only: status [--wait]" >&2; exit 2 ;;
esac
"""
_CLOUD_INIT_UNIT = """\
[Unit]
Description=The part of cloud-init that the sandbox's machine has
After=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/cloud-init run-final
TimeoutStartSec=0
[Install]
WantedBy=multi-user.target
"""
_FILES = {
    "etc/resolv.conf": f"nameserver {CLOUD_ADDRESS}\n",
    "etc/environment": f"REQUESTS_CA_BUNDLE={BUNDLE}\n",
    "etc/sudoers.d/10-certificates": 'Defaults env_keep += "REQUESTS_CA_BUNDLE"\n',
    "etc/fstab": "",
    "usr/bin/cloud-init": _CLOUD_INIT,
    "etc/systemd/system/cloud-final.service": _CLOUD_INIT_UNIT,
    "etc/apt/apt.conf.d/90machine": 'APT::Update::Post-Invoke "";\nAcquire::Languages "none";\n',
}
_MODES = {"usr/bin/cloud-init": 0o755, "etc/sudoers.d/10-certificates": 0o440}
_FINISH = """\
set -e
update-ca-certificates >/dev/null
systemctl enable cloud-final.service ssh.service >/dev/null 2>&1
systemctl set-default multi-user.target >/dev/null 2>&1
systemctl mask {masked} >/dev/null 2>&1
rm -f /etc/ssh/ssh_host_* /etc/machine-id /var/cache/apt/archives/*.deb /var/lib/apt/lists/*Packages*
touch /etc/machine-id
"""


def image(say: Callable[[str], None] = lambda sentence: None) -> Path:
    """The folder of the image's root file system; built where it is missing, which takes a minute or two.

    Args:
        say: called with what takes time.

    Raises:
        SandboxError: it cannot be built.
    """
    release = apt_sources.codename()
    sources = apt_sources.apt_sources()
    base = apt_sources.base_source(sources, release)
    made_of = [
        str(RECIPE),
        release,
        platform.machine(),
        *_PACKAGES,
        *(source.text for source in sources),
        *_FILES.values(),
    ]
    digest = hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:12]
    folder = cache() / f"{release}-{digest}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(folder / "lock", mode=0o600):
        if not (folder / "complete").exists():
            say(
                f"building the machine's image in {folder} from {apt_sources.without_password(base.urls[0])}: a minute or two, once"
            )
            began = time.monotonic()
            try:
                _build(folder, release, sources, base)
            except BaseException:
                shutil.rmtree(folder / "root", ignore_errors=True)
                raise
            finally:
                shutil.rmtree(folder / "tools", ignore_errors=True)
            measured = {"seconds": round(time.monotonic() - began, 1), "bytes": _size(folder / "root")}
            (folder / "complete").write_text(json.dumps(measured))
    return folder / "root"


def cache() -> Path:
    """The folder of images."""
    return platformdirs.user_cache_path("azure-acr-runbook") / "machine"


def figures(image: Path) -> dict[str, float]:
    """How many seconds the building of an image took, and how many bytes it has."""
    found: dict[str, float] = json.loads((image.parent / "complete").read_text())
    return found


def _size(root: Path) -> int:
    return sum(Path(folder, name).lstat().st_blocks * 512 for folder, _, names in os.walk(root) for name in names)


def _build(folder: Path, release: str, sources: list[AptSource], base: AptSource) -> None:
    root, log = folder / "root", folder / "build.log"
    if root.exists():
        shutil.rmtree(root)
    root.mkdir(mode=0o755)
    log.write_text("")
    program, environment = _debootstrap(folder, log)
    command = [*program, "--variant=minbase", f"--keyring={apt_sources.keyring(base)}",
               f"--include={','.join(_PACKAGES)}", f"--components={','.join(base.components)}", release, str(root),
               base.urls[0]]  # fmt: skip
    _run(command, log, environment)
    _write_files(root, sources)
    script = _FINISH.format(masked=" ".join(_MASKED))
    _run(["chroot", str(root), "/bin/sh", "-c", script], log, {})


def _debootstrap(folder: Path, log: Path) -> tuple[list[str], dict[str, str]]:
    """debootstrap of this host, or else the package's content beside the image: nothing is installed on the host."""
    if shutil.which("debootstrap"):
        return ["debootstrap"], {}
    tools = folder / "tools"
    shutil.rmtree(tools, ignore_errors=True)
    tools.mkdir()
    _run(["apt-get", "-o", f"Dir::Cache={tools}", "download", "debootstrap"], log, {}, tools)
    package = next(iter(tools.glob("debootstrap*.deb")))
    _run(["dpkg-deb", "-x", str(package), str(tools)], log, {})
    return ["sh", str(tools / "usr/sbin/debootstrap")], {"DEBOOTSTRAP_DIR": str(tools / "usr/share/debootstrap")}


def _write_files(root: Path, sources: list[AptSource]) -> None:
    for name, text in _FILES.items():
        path = root / name
        path.unlink(missing_ok=True)  # it may be a link
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(_MODES.get(name, 0o644))
    paragraphs = "\n\n".join(source.text for source in sources if source.style == "sources")
    for name, text in {"sources.list": "".join(f"{s.text}\n" for s in sources if s.style == "list"),
                       "sources.list.d/host.sources": f"{paragraphs}\n" if paragraphs else ""}.items():  # fmt: skip
        (root / "etc/apt" / name).write_text(text)
        (root / "etc/apt" / name).chmod(apt_sources.mode([text]))
    for key in {source.keyring for source in sources if source.keyring}:
        if not (root / key.lstrip("/")).exists():
            (root / key.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(key, root / key.lstrip("/"))
    # What this host trusts besides the usual authorities (a company's proxy), the machine has to trust too.
    for certificate in Path("/usr/local/share/ca-certificates").glob("**/*.crt"):
        shutil.copyfile(certificate, root / "usr/local/share/ca-certificates" / certificate.name)


def _run(command: list[str], log: Path, environment: dict[str, str], cwd: Path | None = None) -> None:
    """Run in mount and pid namespaces of its own: what a package's script mounts or starts is gone with it.

    It ends with this process, however this process ends: the lock of the image is gone then.
    """
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    isolated = ["setpriv", "--pdeathsig", "KILL", *namespaces, *command]
    path = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"}
    with log.open("ab") as output:
        done = subprocess.run(
            isolated, stdin=subprocess.DEVNULL, stdout=output, stderr=output, umask=0o022, cwd=cwd or "/",
            env={**{name: value for name, value in os.environ.items() if "proxy" in name.lower()}, **path, **environment},
        )  # fmt: skip
    if done.returncode:
        lines = log.read_text(errors="replace").strip().splitlines()
        reason = apt_sources.without_password(lines[-1] if lines else command[0])
        raise SandboxError(f"The machine's image cannot be built: {reason} (more in {log}).")
