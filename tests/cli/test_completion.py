"""The Tab key, as the function that bash is given asks for it."""

import pytest

from wassergan.cli.main import VERBS, main


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    def ask(line: str) -> list[str]:
        words = line.split(" ")
        monkeypatch.setenv("_WASSERGAN_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        assert main([]) == 0
        said = capsys.readouterr()
        assert said.err == ""
        return said.out.split()

    return ask


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("wassergan tr", ["plain,train"]),
        ("wassergan train --pre", ["plain,--preset", "plain,--precision", "plain,--previews"]),
        ("wassergan train --constraint g", ["plain,gp"]),
        ("wassergan train --network re", ["plain,residual", "plain,resnet", "plain,recurrent"]),
        ("wassergan train --schedule ", ["plain,constant", "plain,inverse_sqrt", "plain,linear"]),
        ("wassergan train --layout ND", ["plain,ND", "plain,NDHW", "plain,NDHWC"]),
        ("wassergan train --budget 3", []),
        ("wassergan train dig", ["plain,digits"]),
        ("wassergan train peo", ["file,peo"]),
        ("wassergan train x --schema s", ["file,s"]),
        ("wassergan distance a.npy b", ["file,b"]),
        ("wassergan distance a.npy b.npy --method cr", ["plain,critic"]),
        ("wassergan resume runs/x --checkpoint b", ["plain,best"]),
        ("wassergan benchmark w1 --pairs f", ["plain,funnels"]),
        ("wassergan nothing-like-it --pre", []),
        ("wassergan help tr", ["plain,train"]),
    ],
)
def test_verbs_flags_values_and_files_are_offered(offered, line: str, found: list[str]) -> None:  # type: ignore[no-untyped-def]
    assert offered(line) == found


def test_all_verbs_are_offered(offered) -> None:  # type: ignore[no-untyped-def]
    assert offered("wassergan ") == [f"plain,{verb}" for verb in VERBS]
