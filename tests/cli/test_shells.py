"""The Tab key in real shells: what a program is given when a line that was completed is entered."""

import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from wassergan.cli.main import VERBS

HOSTILE = (
    *("a run with spaces", "co:lon", "comma,run", "do$HOME", 'dou"ble', "quo'te", "back\\slash", "Läufe ü", "[glob]*"),
    *("(paren)", "semi;colon&", "#hash", "eq=ual"),
)
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
BEFORE = {"bash": "", "zsh": "autoload -Uz compinit; compinit -u -D\n", "fish": ""}
SHOWING = {
    "bash": "wassergan() { printf '<<'; printf '[%s]' \"$@\"; printf '>>'; }\nbind 'set completion-query-items 0'\n",
    "zsh": "wassergan() { printf '<<'; printf '[%s]' \"$@\"; printf '>>'; }\nLISTMAX=9999\n",
    "fish": "function wassergan; printf '<<'; printf '[%s]' $argv; printf '>>'; end\n",
}
SECONDS = 120  # for one line, at most


class Terminal:
    """A shell on a terminal, in which `wassergan` completes as ever but only shows its words."""

    def __init__(self, shell: str, folder: Path, programs: Path) -> None:
        program = programs / "wassergan"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m wassergan "$@"\n')
        program.chmod(0o755)
        surroundings = {
            "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(programs), "TERM": "dumb", "LC_ALL": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join(sys.path), "XDG_CONFIG_HOME": str(programs), "XDG_DATA_HOME": str(programs),
        }  # fmt: skip
        source = subprocess.run(
            [program], env=surroundings | {"_WASSERGAN_COMPLETE": f"{shell}_source"}, capture_output=True, check=True
        )
        script = programs / f"script.{shell}"
        script.write_text(BEFORE[shell] + source.stdout.decode() + SHOWING[shell])
        self._process, self._end = pty.fork()
        if self._process == 0:
            os.chdir(folder)
            os.execvpe(START[shell][0], START[shell], surroundings)
        termios.tcsetwinsize(self._end, (50, 500))
        self.said = ""
        self._send(f"source {shlex.quote(str(script))}; wassergan ready\r")
        self._words()

    def tab(self, line: str) -> str:
        """What stands on a line when Tab was pressed at its end, each word in brackets."""
        self._send(f"{line}\t\r")
        return self._words()

    def close(self) -> None:
        """Hang up."""
        os.close(self._end)
        os.waitpid(self._process, 0)

    def _send(self, text: str) -> None:
        os.write(self._end, text.encode())

    def _words(self) -> str:
        heard, until = b"", time.monotonic() + SECONDS
        while time.monotonic() < until:
            if select.select([self._end], [], [], 1)[0]:
                heard += os.read(self._end, 65536)
            if found := re.search(rb"<<(\[.*\])>>", heard, re.DOTALL):
                self.said += heard.decode()
                return found[1].decode()
        raise AssertionError(f"the shell does not answer: {heard.decode()}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of hostile names, many runs, data, and a link that leads nowhere."""
    folder = tmp_path_factory.mktemp("shells")
    for name in ("plain-one", *HOSTILE):
        (folder / "runs" / name / "checkpoints").mkdir(parents=True)
        (folder / "runs" / name / ".wassergan").write_text("wassergan run\n")
    (folder / "runs" / "notes.txt").write_text("")
    for number in range(5000):
        (folder / "many" / f"run-{number:04d}").mkdir(parents=True)
    for name in ("data.csv", "my data.csv", "Kühe's $5.csv"):
        (folder / name).write_text("a\n1\n")
    (folder / "loop").symlink_to("loop")
    return folder


@pytest.fixture(
    scope="module",
    params=["bash", pytest.param("zsh", marks=pytest.mark.slow), pytest.param("fish", marks=pytest.mark.slow)],
)
def terminal(
    request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Terminal]:
    if request.param != "bash" and shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    terminal = Terminal(request.param, folder, tmp_path_factory.mktemp("programs"))
    yield terminal
    terminal.close()


# The words to type, those that come of it; a folder may end in a slash.
LINES = [
    ("wassergan tra", "[train]"),
    ("wassergan train --constr", "[train][--constraint]"),
    ("wassergan train data.csv --constraint g", "[train][data.csv][--constraint][gp]"),
    ("wassergan train data.csv --constraint=g", "[train][data.csv][--constraint=gp]"),
    ("wassergan train data.csv --layout NCD", "[train][data.csv][--layout][NCDHW]"),
    ("wassergan train dig", "[train][digits]"),
    ("wassergan train da", "[train][data.csv]"),
    ("wassergan train d", "[train][data.csv]"),
    ("wassergan train my", "[train][my data.csv]"),
    ("wassergan fid data.csv K", "[fid][data.csv][Kühe's $5.csv]"),
    ("wassergan sample runs/plain-one --out my", "[sample][runs/plain-one][--out][my data.csv]"),
    ("wassergan resume ru", "[resume][runs/]"),
    ("wassergan resume runs/pl", "[resume][runs/plain-one/]"),
    ("wassergan train data.csv --init-from runs/pl", "[train][data.csv][--init-from][runs/plain-one/]"),
    ("wassergan resume runs/not", "[resume][runs/not]"),  # a file is no run
    ("wassergan resume runs/plain-one/", "[resume][runs/plain-one/]"),  # nor is what lies in one
    ("wassergan resume many/run-499", "[resume][many/run-499]"),  # ten of them
    ("wassergan resume many/run-4999", "[resume][many/run-4999/]"),
    ("wassergan resume loop/", "[resume][loop/]"),
    ("wassergan look runs/pl", "[look][runs/plain-one/]"),
    ("wassergan nonsense x", "[nonsense][x]"),
]


def same(found: str, wanted: str) -> bool:
    """Whether these are the same words; zsh takes the slash of a folder away when a line is entered."""
    return found in (wanted, wanted.replace("/]", "]"))


@pytest.mark.parametrize(("line", "words"), LINES)
def test_lines_are_completed(terminal: Terminal, line: str, words: str) -> None:
    assert same(terminal.tab(line), words)


@pytest.mark.parametrize("name", HOSTILE)
def test_runs_of_any_name_are_completed_and_quoted(terminal: Terminal, name: str) -> None:
    for letters in range(2, len(name)):  # until the rest is certain
        if sum(each.startswith(name[:letters]) for each in HOSTILE) == 1:
            break
    typed = "".join(f"\\{letter}" if letter in " :,$\"'\\[]*();&#=" else letter for letter in name[:letters])
    assert same(terminal.tab(f"wassergan resume runs/{typed}"), f"[resume][runs/{name}/]")


def test_nothing_else_was_said(terminal: Terminal) -> None:
    assert "now called" not in terminal.said and "Traceback" not in terminal.said and "wassergan:" not in terminal.said


def asked(variables: dict[str, str], code: str = "") -> subprocess.CompletedProcess[str]:
    call = f"from wassergan.cli.main import main\n{code or 'raise SystemExit(main([]))'}"
    return subprocess.run(
        [sys.executable, "-c", call],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "_WASSERGAN_COMPLETE": "bash_complete"} | variables,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"COMP_WORDS": "wassergan train d", "COMP_CWORD": "one"},
        {"COMP_WORDS": "wassergan nothing --like it", "COMP_CWORD": "3"},
        {"COMP_WORDS": "wassergan", "COMP_CWORD": "1", "_WASSERGAN_COMPLETE": "csh_complete"},
    ],
)
def test_a_fault_is_answered_with_nothing(variables: dict[str, str]) -> None:
    done = asked(variables)
    assert (done.returncode, done.stderr) == (0, "") and set(done.stdout.split()) <= {"plain,train"}


def test_the_current_folder_may_be_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"import os; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})\nraise SystemExit(main([]))"
    done = asked({"COMP_WORDS": "wassergan train dig", "COMP_CWORD": "2"}, code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "plain,digits\n", "")


def test_no_verb_waits_for_a_large_library() -> None:
    lines = [f"wassergan {verb} --" for verb in VERBS] + ["wassergan ", "wassergan train x --layout N"]
    code = (
        f"import os, sys\nfor line in {lines!r}:\n    os.environ['COMP_WORDS'] = line\n"
        "    os.environ['COMP_CWORD'] = str(line.count(' '))\n    assert main([]) == 0\n"
        "print(sorted({'torch', 'numpy', 'scipy', 'matplotlib', 'pandas', 'sklearn', 'jinja2'} & set(sys.modules)))"
    )
    done = asked({}, code)
    assert done.stdout.splitlines()[-1] == "[]" and done.stdout.count("plain,--") > 100 and done.stderr == ""
