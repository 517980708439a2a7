"""What this installation has and lacks: every line is ok, or says what to do.

Only the standard library is imported here, so that the checks also run where pieces are missing
(``python3 python/run.py gnuradio.hsc.app.doctor`` from the source tree).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType
from typing import TextIO

from ..home import use_writable_home
from ..paths import PACKAGE, by_debian, by_pip, examples_folder
from ..radio.addresses import PRESETS, RadioPreset
from ..streams import Streams

# Longest that a search for radios may take [s]: a driver may hang. Chosen by trial.
RADIO_TIMEOUT_S = 20.0
# Where Linux lists what is on the USB.
USB = Path("/sys/bus/usb/devices")
# Less than this is too little for pictures and temporary files [bytes]. Chosen by trial.
_FREE_BYTES = 200_000_000
# Those of requirements.txt that other installations bring along too.
_PINNED = ("numpy", "scipy", "torch", "PIL", "matplotlib", "click", "rich")


@dataclass(frozen=True)
class Check:
    """One line of the report. `remedy` is empty where `ok`."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


class _Fault(Exception):
    """A probe found something wrong; its text becomes the line's detail."""


def checks() -> list[Check]:
    """Run every probe. Never raises: whatever a probe raises becomes a failed line."""
    return [_run(name, probe, remedy) for name, probe, remedy in probes()]


def report(results: Sequence[Check], file: TextIO | None = None) -> bool:
    """Print one line per check to `file` (standard output by default), with what to do below each that
    failed.

    Returns True when all are ok.
    """
    width = max((len(check.name) for check in results), default=0)
    for check in results:
        print(f"{'ok ' if check.ok else 'BAD'}  {check.name:<{width}}  {check.detail}", file=file)
        if not check.ok:
            print(f"{'':<{width + 7}}what to do: {check.remedy}", file=file)
    return all(check.ok for check in results)


def _run(name: str, probe: Callable[[], str], remedy: str) -> Check:
    try:
        return Check(name, True, probe())
    except _Fault as fault:
        return Check(name, False, str(fault), remedy)
    except Exception as error:  # noqa: BLE001  a broken library may raise anything at all
        text = " ".join(str(error).split())
        return Check(name, False, f"{type(error).__name__}: {text}"[:200], remedy)


def _version_tuple(version: str) -> tuple[int, ...]:
    return tuple(
        int("".join(c for c in part if c.isdigit()) or 0) for part in version.lstrip("v").split(".")[:3]
    )


def _python() -> str:
    if not (3, 11) <= sys.version_info < (3, 15):
        raise _Fault(
            f"{platform.python_version()} at {sys.executable}; the pinned packages need 3.11 to 3.14"
        )
    return f"{platform.python_version()} at {sys.executable}"


def _home() -> str:
    """A home that cannot be written to is no fault: preferences go elsewhere."""
    return use_writable_home()


def _python_path() -> str:
    """No package that is pinned may come from PYTHONPATH. Nothing is imported here."""
    folders = [
        Path(folder).resolve() for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder
    ]
    if not folders:
        return "not set"
    where = {name: importlib.util.find_spec(name) for name in _PINNED}
    origins = {name: Path(spec.origin).resolve() for name, spec in where.items() if spec and spec.origin}
    foreign = [folder for folder in folders if not folder.is_relative_to(Path(sys.prefix).resolve())]
    for folder in foreign:
        if names := [name for name, origin in origins.items() if origin.is_relative_to(folder)]:
            raise _Fault(
                f"{', '.join(names)} would be those of {folder}, not those that this module was tested with"
            )
    return f"{len(foreign)} folders; the pinned packages come first"


def _gnuradio() -> str:
    version = importlib.import_module("gnuradio.gr").version()
    if _version_tuple(version) < (3, 10, 5):
        raise _Fault(f"{version} is older than 3.10.5")
    return f"{version} at {Path(importlib.import_module('gnuradio').__file__).parent}"


def _has_gnuradio() -> bool:
    with suppress(ImportError):
        return importlib.util.find_spec("gnuradio.gr") is not None
    return False


def _no_gnuradio() -> str:
    return "not there: simulate, compare, codecs, train and evaluate work without it; the rest needs ./gr-hsc"


def _version(name: str) -> str:
    module = importlib.import_module(name)
    return f"{module.__version__} at {Path(module.__file__).parent}"


def _samples() -> str:
    folder = examples_folder()
    if folder is None:
        raise _Fault("none found")
    return f"{len(list((folder / 'images').glob('*.*g')))} in {folder / 'images'}"


def _numpy() -> str:
    """numpy's binary interface and GNU Radio's must agree: an array has to survive the way through a PMT."""
    np = importlib.import_module("numpy")
    try:
        pmt = importlib.import_module("pmt")
    except ImportError as error:
        raise _Fault(f"{np.__version__}, and GNU Radio's pmt does not import with it: {error}") from error
    sent = np.arange(8).astype(np.complex64)
    if not np.array_equal(pmt.to_python(pmt.to_pmt(sent)), sent):
        raise _Fault(f"{np.__version__} changes arrays on their way through GNU Radio")
    return f"{np.__version__}, agrees with this GNU Radio"


def _torch() -> str:
    torch = importlib.import_module("torch")
    torch.nn.functional.conv2d(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 3, 3))
    gpu = (
        f", GPU {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU (none is needed)"
    )
    crashes = (
        "; training would crash in GroupNorm's backward pass with channels_last: have 2.7 or later for it"
        if _version_tuple(torch.__version__) < (2, 7)
        else ""
    )
    return f"{torch.__version__}, {torch.get_num_threads()} threads{gpu}{crashes}"


def _safetensors() -> str:
    """Weights hold integers of 16 bits; 0.5.2, which Debian 13 has, writes but cannot load them."""
    torch = importlib.import_module("torch")
    stored = importlib.import_module("safetensors.torch")
    version = importlib.import_module("safetensors").__version__
    try:
        stored.load(stored.save({"x": torch.zeros(1, dtype=torch.uint16)}))
    except Exception as error:  # noqa: BLE001  a KeyError there; others may come
        raise _Fault(f"{version} cannot load integers of 16 bits ({error}), which weights hold") from error
    return version


def _module() -> str:
    module = importlib.import_module("gnuradio.hsc")
    blocks = importlib.import_module("gnuradio.hsc.blocks")
    if missing := [name for name in blocks.names() if not _loads(module, name)]:
        raise _Fault(f"blocks that do not load: {', '.join(missing)}")
    return (
        f"gnuradio.hsc {module.__version__}, {len(blocks.names())} blocks, at {Path(module.__file__).parent}"
    )


def _loads(module: ModuleType, name: str) -> bool:
    try:
        getattr(module, name)
    except Exception:  # noqa: BLE001  of a plug-in's block: its own line says why
        return False
    return True


def _plug_ins() -> str:
    """All that systems from outside name can be loaded."""
    registry = importlib.import_module("gnuradio.hsc.codecs.registry")
    systems = registry.plug_ins()
    importlib.import_module("gnuradio.hsc.training.recipe").names()  # their names may clash
    if faults := registry.faults():
        raise _Fault("; ".join(faults))
    return ", ".join(f"{system.name} ({system.title})" for system in systems) or "none"


def _weight_folders() -> list[Path]:
    """Of this package, and of systems that have another."""
    folders = [PACKAGE / "weights"]
    with suppress(ImportError):  # other lines tell what is missing
        systems = importlib.import_module("gnuradio.hsc.codecs.registry").systems()
        folders += [system.weights for system in systems]
    return list(dict.fromkeys(folders))


def _weights() -> str:
    """Every weights file has a card, every card its file, and the hash on the card is the file's."""
    folders = _weight_folders()
    found = [_weights_in(folder) for folder in folders]
    where = f" in {len(folders)} folders" if len(folders) > 1 else ""
    count, size = (sum(part) for part in zip(*found, strict=True))
    return f"{count} files{where}, {size / 1e6:.1f} MB, all hashes right"


def _weights_in(folder: Path) -> tuple[int, int]:
    """Number and bytes of the weights files of a folder."""
    files = {path.stem: path for path in folder.glob("*.safetensors")}
    cards = {path.stem: path for path in folder.glob("*.json")}
    if not files:
        raise _Fault(f"no weights in {folder}")
    if odd := sorted(files.keys() ^ cards.keys()):
        raise _Fault(f"weights without a card, or a card without weights: {', '.join(odd)}")
    wrong = [
        stem
        for stem, path in files.items()
        if json.loads(cards[stem].read_text()).get("sha256") != hashlib.sha256(path.read_bytes()).hexdigest()
    ]
    if wrong:
        raise _Fault(f"files whose hash is not the one on their card: {', '.join(sorted(wrong))}")
    return len(files), sum(path.stat().st_size for path in files.values())


def _perceptual() -> str:
    """The weights of LPIPS and DISTS are optional: none installed is not a fault."""
    weights = importlib.import_module("gnuradio.hsc.perceptual_weights")
    if lacking := [name for name in weights.NAMES if weights.find(name) is None]:
        return f"no weights ({', '.join(lacking)}), they are left out: '{weights.INSTALL}' installs them"
    return f"weights in {weights.find('alex').parent}"


def _jpeg2000() -> str:
    glymur = importlib.import_module("glymur")
    np = importlib.import_module("numpy")
    image = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.jp2"
        glymur.Jp2k(path, data=image)
        if not np.array_equal(glymur.Jp2k(path)[:], image):
            raise _Fault("a lossless image comes back changed")
    return (
        f"OpenJPEG {glymur.version.openjpeg_version} through glymur {glymur.__version__}, lossless round trip"
    )


def _block_paths() -> list[Path]:
    """Where GNU Radio Companion looks for blocks, as its own configuration has it
    (gnuradio/grc/core/Config.py).
    """
    paths = os.environ.get("GRC_BLOCKS_PATH", "").split(os.pathsep)
    prefs = importlib.import_module("gnuradio.gr").prefs()
    for key in ("local_blocks_path", "global_blocks_path"):
        paths += prefs.get_string("grc", key, "").split(os.pathsep)
    return [Path(path).expanduser() for path in paths if path]


def _companion() -> str:
    gi = importlib.import_module("gi")
    gi.require_version("Gtk", "3.0")
    program = shutil.which("gnuradio-companion")
    if program is None:
        raise _Fault("gnuradio-companion is not on PATH")
    for path in _block_paths():
        if count := len(list(path.rglob("hsc_*.block.yml"))):
            return f"{program}, {count} HSC blocks in {path}"
    raise _Fault("no HSC block in any folder that GNU Radio Companion looks in")


def _examples() -> str:
    folder = examples_folder()
    if folder is None or not (flowgraphs := sorted(folder.rglob("*.grc"))):
        raise _Fault("no example flowgraph found")
    return f"{len(flowgraphs)} flowgraphs in {folder}"


# Asked in a process of its own, which may hang or crash with a driver. The C interface comes with GNU Radio;
# soapysdr-tools does not.
_SOAPY = """
import ctypes, json
soapy = ctypes.CDLL("libSoapySDR.so.0.8")
class Kwargs(ctypes.Structure):
    _texts = ctypes.POINTER(ctypes.c_char_p)
    _fields_ = [("size", ctypes.c_size_t), ("keys", _texts), ("vals", _texts)]
count = ctypes.c_size_t()
soapy.SoapySDR_listModules.restype = ctypes.POINTER(ctypes.c_char_p)
modules = soapy.SoapySDR_listModules(ctypes.byref(count))
print(json.dumps({"modules": [modules[i].decode() for i in range(count.value)]}), flush=True)
soapy.SoapySDRDevice_enumerateStrArgs.restype = ctypes.POINTER(Kwargs)
found = soapy.SoapySDRDevice_enumerateStrArgs(b"", ctypes.byref(count))
devices = [{d.keys[i].decode(): d.vals[i].decode() for i in range(d.size)} for d in found[:count.value]]
print(json.dumps({"devices": devices}), flush=True)
"""


def _ask(command: Sequence[str]) -> str | None:
    """Output of a device search as far as it came; None where the program is missing."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=RADIO_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode(errors="replace")
    return done.stdout


@lru_cache(maxsize=1)
def _soapy() -> dict[str, list]:
    """What SoapySDR has: `modules`, and `devices` unless a driver hung; empty without SoapySDR."""
    answer: dict[str, list] = {}
    for line in (_ask([sys.executable, "-c", _SOAPY]) or "").splitlines():
        with suppress(ValueError):  # drivers write to standard output too
            answer.update(json.loads(line))
    return answer


def _plugged() -> set[str]:
    """vendor:product of everything on the USB."""
    ids = set()
    for folder in USB.glob("*"):
        with suppress(OSError):
            ids.add(
                f"{(folder / 'idVendor').read_text().strip()}:{(folder / 'idProduct').read_text().strip()}"
            )
    return ids


def _radios() -> str:
    """Radios are optional: none found is not a fault."""
    soapy, uhd = _soapy(), _ask(["uhd_find_devices"])
    found = [
        f"{d.get('label') or d.get('driver', 'unnamed')} (soapy:driver={d.get('driver')})"
        for d in soapy.get("devices", ())
    ]
    types = [
        line.split(":", 1)[1].strip() for line in (uhd or "").splitlines() if line.strip().startswith("type:")
    ]
    found += [f"USRP (uhd:type={kind})" for kind in types]
    if found:
        return ", ".join(" ".join(text.split()) for text in found)
    if "modules" in soapy and "devices" not in soapy:
        return f"no answer within {RADIO_TIMEOUT_S:g} s: a driver hangs, unplug what is not needed"
    return "none found; zmq, file and sim need none"


def _radio(preset: RadioPreset) -> str:
    """Whether a kind of radio could be used here, and what it lacks."""
    plugged = "plugged in" if _plugged() & set(preset.usb) else "not plugged in"
    there = any(preset.module in Path(module).name.lower() for module in _soapy().get("modules", ()))
    if there:
        found = any(d.get("driver") in preset.drivers for d in _soapy().get("devices", ()))
        closed = plugged == "plugged in" and not found
        return (
            "found"
            if found
            else f"driver installed, {plugged}"
            + ("; not found: its udev rules or your group may be missing" * closed)
        )
    if not preset.package:
        return f"{plugged}; no driver, Debian has no package: build Soapy{preset.name}"
    return f"{plugged}; no driver: apt-get install {preset.package}"


def _disk() -> str:
    folders = {"temporary files": Path(tempfile.gettempdir()), "this folder": Path.cwd()}
    free = {name: shutil.disk_usage(path).free for name, path in folders.items()}
    for name, path in folders.items():
        if not os.access(path, os.W_OK):
            raise _Fault(f"{path} ({name}) cannot be written to")
        if free[name] < _FREE_BYTES:
            raise _Fault(f"{path} ({name}) has {free[name] / 1e6:.0f} MB free")
    return ", ".join(f"{path} {free[name] / 1e9:.1f} GB free" for name, path in folders.items())


def _processors() -> str:
    return f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} cores, {platform.machine()}"


_SET_UP = "run ./gr-hsc test in the checkout: it sets up what is missing"
_REINSTALL = "delete .venv in the checkout and run ./gr-hsc doctor"
_PROBES: tuple[tuple[str, Callable[[], str], str], ...] = (
    ("Python", _python, "use Debian 12 or later or Ubuntu 24.04 or later, and start gr-hsc by ./gr-hsc"),
    ("home", _home, ""),
    ("PYTHONPATH", _python_path, "unset PYTHONPATH, or start gr-hsc by ./gr-hsc"),
    ("GNU Radio", _gnuradio, "apt-get install gnuradio gnuradio-dev, and start gr-hsc by ./gr-hsc"),
    ("numpy", _numpy, _REINSTALL),
    ("torch", _torch, _REINSTALL),
    ("safetensors", _safetensors, f"have safetensors 0.6 or later: {_REINSTALL}"),
    ("gr-hsc", _module, _SET_UP),
    ("plug-ins", _plug_ins, "mend or uninstall the package that is named; all else works without it"),
    (
        "weights",
        _weights,
        "git restore python/hsc/weights, or install the plug-in again, then run ./gr-hsc doctor",
    ),
    ("LPIPS, DISTS", _perceptual, ""),
    ("JPEG 2000", _jpeg2000, f"apt-get install libopenjp2-7; {_REINSTALL}"),
    (
        "GRC",
        _companion,
        "start it by ./gr-hsc companion, or set GRC_BLOCKS_PATH to <prefix>/share/gnuradio/grc/blocks",
    ),
    ("examples", _examples, _SET_UP),
    ("radios", _radios, ""),
    *((preset.name, partial(_radio, preset), "") for preset in PRESETS),
    ("disk", _disk, "free some space, or run in a folder you can write to"),
    ("processor", _processors, ""),
)
# What pip installs needs no GNU Radio: what is asked there instead.
_REINSTALL_CORE = "python -m pip install --force-reinstall gr-hsc's wheel or checkout"
_CORE_PROBES: tuple[tuple[str, Callable[[], str], str], ...] = (
    ("Python", _python, "make the environment with another Python"),
    ("PYTHONPATH", _python_path, "unset PYTHONPATH"),
    ("GNU Radio", _no_gnuradio, ""),
    *((name, partial(_version, name), _REINSTALL_CORE) for name in ("numpy", "scipy")),
    ("torch", _torch, _REINSTALL_CORE),
    ("safetensors", _safetensors, "python -m pip install 'safetensors>=0.6'"),
    ("gr-hsc", partial(_version, "gnuradio.hsc"), _REINSTALL_CORE),
    ("plug-ins", _plug_ins, "mend or uninstall the package that is named; all else works without it"),
    ("weights", _weights, _REINSTALL_CORE),
    ("LPIPS, DISTS", _perceptual, ""),
    ("JPEG 2000", _jpeg2000, "install OpenJPEG's library: apt-get install libopenjp2-7"),
    ("sample images", _samples, _REINSTALL_CORE),
    ("disk", _disk, "free some space, or run in a folder you can write to"),
    ("processor", _processors, ""),
)


# What Debian's package can do about a line, where it is not all but to install again.
_DEBIAN = {
    "PYTHONPATH": "unset PYTHONPATH",
    "plug-ins": "mend or uninstall the package that is named; all else works without it",
    "disk": "free some space, or run in a folder you can write to",
}
_REINSTALL_DEBIAN = "apt-get install --reinstall gr-hsc"


def probes() -> tuple[tuple[str, Callable[[], str], str], ...]:
    """Name, probe and remedy of every line: those of the core where pip installed it and no GNU Radio is."""
    if by_pip() and not _has_gnuradio():
        return _CORE_PROBES
    if by_debian():
        return tuple(
            (name, probe, remedy and _DEBIAN.get(name, _REINSTALL_DEBIAN)) for name, probe, remedy in _PROBES
        )
    return _PROBES


if __name__ == "__main__":
    streams = Streams()
    sys.exit(streams.close(0 if report(checks()) else 1))
