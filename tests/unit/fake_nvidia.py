# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's root directory with nvidia-smi, nvidia-ctk and systemd that do what real ones do."""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).parent / "data" / "nvidia"

_SMI = """\
#!/bin/sh
case $1 in
    --query-gpu=*) cat '{home}/gpus'; exit "$(cat '{home}/smi-status')" ;;
    --query-compute-apps=*) cat '{home}/processes' ;;
esac
"""
_CTK = """\
#!/bin/sh
echo "nvidia-ctk $*" >>'{home}/calls'
env | grep ^NVIDIA_ >'{home}/variables'
if [ -e '{home}/ctk-error' ]; then
    cat '{home}/ctk-error' >&2
    exit 1
fi
output=$NVIDIA_CTK_CDI_OUTPUT_FILE_PATH
form=yaml
for argument; do
    case $argument in
        --output=*) output=${{argument#*=}} ;;
        --format=*) form=${{argument#*=}} ;;
    esac
done
if [ -z "$output" ]; then
    exec cat '{home}/fresh.'"$form"
fi
mkdir -p "$(dirname "$output")"
cat '{home}/fresh.'"${{output##*.}}" >"$output"
"""
_SYSTEMCTL = """\
#!/bin/sh
echo "systemctl $*" >>'{home}/calls'
if [ "$1" = restart ] && [ -e '{home}/service' ]; then
    NVIDIA_CTK_CDI_OUTPUT_FILE_PATH=$(cat '{home}/service')
    export NVIDIA_CTK_CDI_OUTPUT_FILE_PATH
    exec '{root}/usr/bin/nvidia-ctk' cdi generate
fi
"""


class FakeNvidia:
    """Nothing is installed at first."""

    def __init__(self, home: Path) -> None:
        self.root = home / "root"
        self._home = home / "behind"
        for folder in (self.root / "usr/bin", self._home):
            folder.mkdir(parents=True)

    def smi(self, gpus: str, processes: str = "processes-native", status: int = 0) -> None:
        """Install an nvidia-smi that says the text of these data files."""
        (self._home / "gpus").write_text(data(f"{gpus}.txt"))
        (self._home / "processes").write_text(data(f"{processes}.txt"))
        (self._home / "smi-status").write_text(str(status))
        self._install("nvidia-smi", _SMI)

    def hanging_smi(self) -> None:
        self._install("nvidia-smi", "#!/bin/sh\nexec sleep 60\n")

    def ctk(self, fresh: str | None = None, *, error: str | None = None) -> str:
        """Install an nvidia-ctk that describes the host so; the answer is that text."""
        fresh = data("cdi-ordered.txt") if fresh is None else fresh
        for form in ("yaml", "json"):
            (self._home / f"fresh.{form}").write_text(fresh)
        (self._home / "ctk-error").unlink(missing_ok=True)
        if error is not None:
            (self._home / "ctk-error").write_text(error)
        self._install("nvidia-ctk", _CTK)
        return fresh

    def service(self, path: str = "/var/run/cdi/nvidia.yaml", *, works: bool = True) -> None:
        """Have systemd, and nvidia-cdi-refresh.service in it, which writes there if it works."""
        (self.root / "run/systemd/system").mkdir(parents=True)
        self.write("/usr/lib/systemd/system/nvidia-cdi-refresh.service", "[Service]\n")
        if works:
            (self._home / "service").write_text(str(self.place(path)))
        self._install("systemctl", _SYSTEMCTL)

    def gpu_on_the_bus(self) -> None:
        device = "/sys/bus/pci/devices/0000:01:00.0"
        self.write(f"{device}/vendor", "0x10de\n")
        self.write(f"{device}/class", "0x030200\n")

    def packages(self, **versions: str) -> None:
        """Have these packages installed; an underscore stands for a hyphen."""
        paragraphs = (
            f"Package: {name.replace('_', '-')}\nStatus: install ok installed\nVersion: {version}\n"
            for name, version in versions.items()
        )
        self.write("/var/lib/dpkg/status", "\n".join(paragraphs))

    def write(self, path: str, text: str) -> Path:
        file = self.place(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def place(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def files(self) -> dict[str, str]:
        """The CDI specifications and what once was one, with their text."""
        found = (f for d in ("etc/cdi", "var/run/cdi") for f in (self.root / d).glob("*"))
        return {f"/{file.relative_to(self.root)}": file.read_text() for file in found}

    @property
    def calls(self) -> list[str]:
        path = self._home / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def variables(self) -> list[str]:
        """What nvidia-ctk was given last."""
        return (self._home / "variables").read_text().splitlines()

    def _install(self, name: str, text: str) -> None:
        program = self.root / "usr/bin" / name
        program.write_text(text.format(home=self._home, root=self.root))
        program.chmod(0o755)


def data(name: str) -> str:
    return (DATA / f"composed-{name}").read_text()
