"""Fields: numbers on a grid, in one or several channels, each with a unit of its own."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wassergan.data import Codec, Source, channels_first
from wassergan.errors import parameter
from wassergan.modality.gridded import Gridded
from wassergan.modality.missing import without_missing
from wassergan.modality.modality import Rows
from wassergan.modality.picture_recipe import FIELD_REASON
from wassergan.networks.conv import NEAREST
from wassergan.sampling.sampler import Sampler

if TYPE_CHECKING:
    from wassergan.plots import Channel

MAPS = 5  # fields beside each other


class Fields(Gridded):
    """Temperatures, concentrations, masks: what is drawn in false colours."""

    name = "field"
    reason = FIELD_REASON

    def upsampling(self, shape: tuple[int, ...]) -> str:
        """By nearest values: smooth fields show the pattern that free kernels leave."""
        return NEAREST

    def facts(self, source: Source) -> dict[str, Any]:
        """What three axes are read as, and how to have them read otherwise."""
        if self.own(source.codec).layout != "NHW":
            return {}
        _, height, width = source.shape
        told = f"fields of {height} x {width}; {parameter('layout', 'NTC')}: series of {height} steps, {width} channels"
        return {"read as": told}

    def save_picture(
        self, samples: Rows, path: Path, codec: Codec, *, real: Rows | None = None, columns: int | None = None
    ) -> None:
        """A grid for each channel."""
        from wassergan.plots import save_picture

        save_picture(self.grid(samples, codec, columns), path)

    def grid(self, samples: Rows, codec: Codec, columns: int | None = None) -> Any:
        """All channels of samples (n, ...) in the user's units and layout, each with a range of its own."""
        from wassergan.plots import panels

        return panels(field_channels(samples, codec), columns=columns)

    def visualize(self, sampler: Sampler, source: Source | None, out: Path, *, count: int, seed: int) -> list[Path]:
        """Maps and moments beside those of held-out fields; walks through the latent space."""
        from wassergan.modality.walks import draw_walks

        codec = self.own(sampler.codec)
        found = {} if source is None else {"held out": self.heldout_samples(source, count)}
        found["generated"] = sampler.draw(count, seed=seed)
        files = _draw_maps(found, codec, "value" if source is None else source.name, out)
        walks = draw_walks(sampler, lambda samples, columns: self.grid(samples, codec, columns), out, seed=seed)
        return files + walks


def field_channels(samples: NDArray[Any], codec: Codec) -> list["Channel"]:
    """The channels of fields (n, ...) in the user's units and layout, each with its name and the range of the data."""
    from wassergan.plots import Channel

    values = channels_first(without_missing(samples, codec), codec.layout)
    fixed = codec.parts.fixed.numpy() if codec.parts else np.zeros(values.shape[1:], bool)
    count = values.shape[1]
    found = []
    for index, name in enumerate(codec.named(count)):
        low, high = codec.range_of(index, margin=False)
        if not high > low:
            low, high = low - 0.5, high + 0.5
        channel = values[:, index]
        # Such as -9999 on land; drawn as missing, as it has no colour.
        channel[fixed[index] & ((channel < low) | (channel > high))] = np.nan
        found.append(Channel(name if count > 1 or codec.channels else "", channel, low, high))
    return found


def _draw_maps(found: dict[str, Rows], codec: Codec, name: str, out: Path) -> list[Path]:
    """Some fields and the moments of all of them, by channel; `name` is what the only one is called."""
    from wassergan.plots import LARGEST_PANELS, Maps, fields_figure, moments_figure, save_figure

    by_distribution = {label: field_channels(each, codec) for label, each in found.items()}
    first = next(iter(by_distribution.values()))[:LARGEST_PANELS]
    whole = [
        Maps(
            channel.name or name,
            {label: each[index].values for label, each in by_distribution.items()},
            *_ends(channel),
        )
        for index, channel in enumerate(first)
    ]
    shown = [
        replace(each, distributions={label: maps[_spread(len(maps))] for label, maps in each.distributions.items()})
        for each in whole
    ]
    save_figure(fields_figure(shown), out / "fields.png")
    named = len(first) > 1 or codec.channels
    save_figure(moments_figure(whole if named else [replace(each, name="") for each in whole]), out / "moments.png")
    return [out / "fields.png", out / "moments.png"]


def _ends(channel: "Channel") -> tuple[float, float]:
    """The range of the values that are there; the codec's where there are none."""
    there = channel.values[
        ~np.isnan(channel.values) & (channel.values >= channel.low) & (channel.values <= channel.high)
    ]
    return (float(there.min()), float(there.max())) if there.size else (channel.low, channel.high)


def _spread(count: int) -> NDArray[np.int64]:
    """`MAPS` positions from all over 0..count-1; some twice where there are fewer."""
    return np.linspace(0, count - 1, MAPS).round().astype(np.int64)
