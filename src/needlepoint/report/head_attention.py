"""What single heads look at, and what they say: attention patterns and codes on a few prompts."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from needlepoint.report import theme
from needlepoint.report.display import Display, Words
from needlepoint.report.text import label, missing, number, visible

LEVELS = 255
"""A weight on the page is one byte."""


@dataclass(frozen=True)
class HeadAttention(Display):
    """For each head that is shown and each prompt, where every token looks."""

    shown: pd.DataFrame
    """The table `shown_prompts` of a circuit record."""
    attention: pd.DataFrame
    """Its table `attention`."""
    codes: pd.DataFrame
    """Its table `codes`; without rows no codes are shown."""

    title = "What a head looks at, and what it says"

    @property
    def words(self) -> Words:
        """The explanation under the picture."""
        coded = (
            " A code is the entry of the discrete autoencoder that a head's output excites most. "
            "The table counts the prompts on which the head says each code, taken over the whole "
            "prompt, and lists tokens of clean prompts at which it does."
            if len(self.codes)
            else ""
        )
        return Words(
            "The prompt in tokens, shaded by how much the chosen head attends to each from the "
            "token in the frame, and the whole pattern as a square: a row for each token that "
            f"looks, a column for each that is looked at.{coded}",
            "Choose a head, a prompt, and a token to look from: point, click, or use the arrow "
            "keys. Compare the clean prompt with its corrupt one. A code that is said on many "
            "clean prompts and on no corrupt one goes with the behaviour; on one or two it may be "
            "chance.",
            "Where a head looks is not what it writes: a head can attend strongly and change "
            "nothing. Many heads rest on the first token when they have nothing to do. Three "
            "prompts are shown, and the codes at single tokens are outside of what the "
            "autoencoder was trained on.",
        )

    @property
    def sites(self) -> list[str]:
        """The heads shown, the first in the ranking first."""
        return [str(site) for site in dict.fromkeys(self.attention["site"])]

    def pattern(self, site: str, pair: int, side: str) -> np.ndarray:
        """The weights of one head on one prompt, `[query, key]`; 0 ahead of a causal model."""
        rows = self.attention
        rows = rows[(rows["site"] == site) & (rows["pair"] == pair) & (rows["side"] == side)]
        return _square(np.asarray(rows["weights"].iloc[0], dtype=float), self._n(pair, side))

    def _n(self, pair: int, side: str) -> int:
        return len(self._tokens(pair, side))

    def _tokens(self, pair: int, side: str) -> list[str]:
        rows = self.shown[(self.shown["pair"] == pair) & (self.shown["side"] == side)]
        return [str(token) for token in rows["tokens"].iloc[0]]

    def frame(self) -> pd.DataFrame:
        """A row for each weight: `site, pair, side, query, key, from, to, weight`."""
        parts = []
        for row in self.attention.to_dict("records"):
            tokens = self._tokens(row["pair"], row["side"])
            weights = self.pattern(row["site"], row["pair"], row["side"])
            looks, seen = np.nonzero(_kept(len(row["weights"]), len(tokens)))
            parts.append(
                pd.DataFrame(
                    {
                        **{name: row[name] for name in ("site", "pair", "side")},
                        "query": looks,
                        "key": seen,
                        "from": [tokens[one] for one in looks],
                        "to": [tokens[one] for one in seen],
                        "weight": weights[looks, seen],
                    }
                )
            )
        columns = ["site", "pair", "side", "query", "key", "from", "to", "weight"]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)

    def figure(self) -> Any:
        """The pattern of the first head on the first prompt, as a heat map."""
        figure = theme.new_figure(height=420)
        first = self.attention.to_dict("records")[0]
        tokens = self._tokens(first["pair"], first["side"])
        names = [f"{place} {label(token)}" for place, token in enumerate(tokens)]
        figure.add_heatmap(
            x=names,
            y=names,
            z=self.pattern(first["site"], first["pair"], first["side"]).tolist(),
            colorscale=theme.SEQUENTIAL,
            zmin=0,
            zmax=1,
            colorbar=theme.colour_bar("weight"),
        )
        figure.update_yaxes(autorange="reversed", title_text="looks from")
        figure.update_xaxes(title_text="looks at")
        return figure

    def panel(self) -> dict[str, Any]:
        """What the page's script draws; a pattern is one byte for each weight."""
        return {
            "sites": self.sites,
            "prompts": [
                {
                    "pair": int(row["pair"]),
                    "side": row["side"],
                    "tokens": list(row["tokens"]),
                    "shown": [visible(str(token)) for token in row["tokens"]],
                }
                for row in self.shown.to_dict("records")
            ],
            "patterns": [
                {
                    "site": row["site"],
                    "pair": int(row["pair"]),
                    "side": row["side"],
                    "weights": _packed(row["weights"]),
                    "codes": None
                    if missing(row["codes"])
                    else [int(code) for code in row["codes"]],
                }
                for row in self.attention.to_dict("records")
            ],
            "codes": [
                [
                    row["site"],
                    *(int(row[name]) for name in ("code", "n_clean", "n_corrupt")),
                    bool(row["unique"]),
                    [visible(str(token)) for token in row["tokens"]],
                    [int(count) for count in row["counts"]],
                ]
                for row in self.codes.to_dict("records")
            ],
        }

    def alt(self) -> str:
        """For the first heads, what the last token of the first clean prompt looks at most."""
        clean = self.attention[self.attention["side"] == "clean"]
        said = []
        for row in clean.drop_duplicates("site").head(4).to_dict("records"):
            final = self.pattern(row["site"], row["pair"], "clean")[-1]
            place = int(final.argmax())
            token = visible(self._tokens(row["pair"], "clean")[place])
            said.append(f"{row['site']} at {token!r} ({number(final[place])})")
        return f"Attention patterns. From the last token: {', '.join(said)}."


def _kept(n_weights: int, n: int) -> np.ndarray:
    """Which cells of a square a list of weights is of."""
    whole = np.ones((n, n), dtype=bool)
    return whole if n_weights == n * n and n > 1 else np.tril(whole)


def _square(weights: np.ndarray, n: int) -> np.ndarray:
    found = np.zeros((n, n))
    found[_kept(len(weights), n)] = weights
    return found


def _packed(weights: Any) -> str:
    levels = np.rint(np.clip(np.asarray(weights, dtype=float), 0, 1) * LEVELS)
    return base64.b64encode(levels.astype(np.uint8).tobytes()).decode("ascii")
