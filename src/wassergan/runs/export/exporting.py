"""From a run folder to an exported file, and from a file of weights back to a sampler."""

import json
from os import PathLike
from pathlib import Path
from typing import Any

from torch import Tensor

from wassergan.config.settings import ResolvedSettings
from wassergan.errors import UserError, flag, parameter, unknown_name, worded
from wassergan.modality import modality_of
from wassergan.runs.export.description import VERSION, codec_of, describe
from wassergan.runs.export.formats import FORMATS, KEY, folded
from wassergan.sampling.sampler import Sampler
from wassergan.session.build import networks_of
from wassergan.session.restore import sampler_of
from wassergan.session.run_content import load_run
from wassergan.storage.corruption import corruption_errors
from wassergan.storage.files import as_path, make_folder, replacing, require_regular, require_writable
from wassergan.storage.run_folder import RunFolder


def chosen_format(name: str | None, path: Path | None) -> str:
    """The requested format, or that of the file's suffix.

    Raises:
        UserError: there is neither, they differ, or it is unknown.
    """
    suffix = path.suffix.removeprefix(".") if path else ""
    if not name and not suffix:
        raise UserError(
            "Which format is not said",
            hint=worded(
                command_line=f"give {flag('format', '|'.join(FORMATS))}",
                python=f"give `format_name`: {', '.join(FORMATS)}",
            ),
        )
    chosen = name or suffix
    if chosen not in FORMATS:
        raise unknown_name("format", chosen, FORMATS)
    if path is not None and suffix != chosen:
        raise UserError(
            f"A file of format {chosen} ends in .{chosen}", found=f"'{path.name}'", hint="rename it, or leave out one"
        )
    return chosen


def export_run(
    folder: str | PathLike[str],
    path: str | PathLike[str],
    *,
    format_name: str | None = None,
    checkpoint: str = "latest",
) -> int:
    """Write the averaged generator of a run, in evaluation mode, with its description.

    Args:
        folder: of the run.
        path: the file, written atomically.
        format_name: `safetensors`, `onnx` or `pt2`; the file's suffix unless given.
        checkpoint: `latest`, `best` or a step number.

    Returns:
        The step of the checkpoint.

    Raises:
        UserError: no run, no such checkpoint or format, or a package that is not installed.
        WorkError: the file system refuses.
    """
    run, path = RunFolder(as_path(folder)), as_path(path)
    chosen = FORMATS[chosen_format(format_name, path)]
    chosen.require_packages()
    run.require_folder(path.parent)
    run.require_target(path)
    require_writable(path)
    state = load_run(run, checkpoint)
    if state.settings.completion:
        raise UserError(
            f"Runs that were trained with {parameter('completion')} are not exported: any columns are their conditions",
            hint=f"train without {parameter('completion')}, or draw and complete with the run itself",
        )
    sampler = sampler_of(state, folder=run, device="cpu")
    description = json.dumps(describe(state, sampler))
    make_folder(path.parent)
    with replacing(path) as temporary:
        chosen.write(folded(sampler.generator), temporary, latent_dim=sampler.latent_dim, description=description)
    return state.step


def open_export(path: str | PathLike[str]) -> Sampler:
    """Draw from a `.safetensors` file as from its run: equal seeds give equal samples.

    Raises:
        UserError: no such file, or it was not written by this library.
    """
    FORMATS["safetensors"].require_packages()
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    path = as_path(path)
    if not require_regular(path).exists():
        raise UserError(f"There is no file {path}")
    try:
        with safe_open(require_regular(path), framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
        weights = load_file(require_regular(path))
    except SafetensorError as error:
        raise UserError(f"{path} is damaged or no safetensors file", found=str(error)) from error
    if text is None:
        raise UserError(f"{path} was not written by wassergan export", hint="export the run again")
    with corruption_errors(path, "export the run again"):
        return _sampler_of(json.loads(text), weights)


def _sampler_of(description: dict[str, Any], weights: dict[str, Tensor]) -> Sampler:
    if description["version"] > VERSION:
        raise UserError("The file was written by a newer release", found=description["wassergan"], hint="upgrade")
    settings, codec = ResolvedSettings.from_mapping(description["settings"]), codec_of(description)
    generator, _ = networks_of(settings, tuple(description["sample"]["shape"][1:]), codec)
    generator.load_state_dict(weights)
    generator.eval()
    latent_dim = description["latent"]["shape"][1]
    kind = description["sample"]["kind"]
    modality_of(kind).calibrate(generator, codec, latent_dim=latent_dim)
    return Sampler(generator, latent_dim, codec, kind)
