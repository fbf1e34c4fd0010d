"""Fit the inputs of a column of free text to the training rows of a large table, in passes over rows on disk.

The result is that of :func:`lifecycle.data.steps.learn`: the words with the highest counts, their TF-IDF, and a
randomised truncated singular value decomposition by scikit-learn's steps. What needs memory for each row there is
computed here from sums over rows. With the TF-IDF matrix X, scikit-learn finds orthonormal columns Q with the span of
X Z, and decomposes Q' X; here both follow from X' X Z, which has a row for each word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg, sparse

from lifecycle.data import steps
from lifecycle.data.large.blocks import AnyArray
from lifecycle.data.large.statistics import Statistics, set_scaler
from lifecycle.data.large.table import LargeTable
from lifecycle.data.large.text_rows import Chunks, as_columns, matrix_of

RANK = 1e-13
"""Squares of singular values below this share of the largest one are rounding errors."""


@dataclass(frozen=True)
class Words:
    """The words of a column in the training rows.

    Attributes:
        words: sorted.
        rows: ``(words,)`` number of training rows with each.
    """

    words: list[str]
    rows: AnyArray


class TextColumn:
    """A column of free text of a large table.

    Args:
        table: the rows, of which this process has the texts that it has read.
        name: of the column.
        train: numbers of the training rows, in increasing order.
    """

    def __init__(self, table: LargeTable, name: str, train: AnyArray) -> None:
        self._table, self.name, self._train, self._step = table, name, train, 0
        self._texts = table.texts[name]
        self._matrix = Chunks()
        self.words = self._counted()

    def few_texts(self, rows: int) -> list[str]:
        """Return texts that have all words, and a different one each as long as there are words."""
        return [" ".join(self.words.words[row::rows]) for row in range(rows)]

    def learn(self, pipeline: Any) -> None:
        """Set what has been fitted to :meth:`few_texts` to that of all training rows."""
        count, svd, scaler = pipeline
        total = len(self._train)
        count.vocabulary_ = {word: place for place, word in enumerate(self.words.words)}
        # As of TfidfTransformer with smooth_idf.
        count.idf_ = np.log((total + 1.0) / (self.words.rows + 1.0)) + 1.0
        self._matrix = Chunks(self._texts.first)
        for _, part in self._texts.parts():
            self._matrix.append(**as_columns(count.transform(part["text"].to_pylist())))
        self._texts = self._table.texts[self.name] = Chunks()  # frees the place of the texts on disk
        if total < len(self.words.words):
            scaler.fit(svd.fit_transform(self._training_matrix()))
            return
        self._decompose(svd)
        found = self._set_variances(svd)
        set_scaler(scaler, found, total)

    def inputs(self, pipeline: Any, start: int, stop: int) -> AnyArray:
        """Return the inputs of some rows that this process has read, ``(rows, components) float64``."""
        _, svd, scaler = pipeline
        matrix = matrix_of(self._matrix.read(start, stop), len(self.words.words))
        return np.asarray(scaler.transform(matrix @ svd.components_.T))

    def _of_train(self, start: int, rows: int) -> AnyArray:
        """Return which of some rows from ``start`` on are training rows, as positions among them."""
        low, high = np.searchsorted(self._train, (start, start + rows))
        return np.asarray(self._train[low:high] - start)

    def _counted(self) -> Words:
        analyze = steps.word_counter().build_analyzer()
        occurrences: Counter[str] = Counter()
        rows: Counter[str] = Counter()
        for start, part in self._texts.parts():
            for text in part["text"].take(self._of_train(start, len(part))).to_pylist():
                words = analyze(text)
                occurrences.update(words)
                rows.update(set(words))
        for found in self._of_all([list(occurrences.items()), list(rows.items())]):
            for counter, pairs in zip((occurrences, rows), found, strict=True):
                counter.update(dict(pairs))
        if not occurrences:
            raise steps.no_words(self.name)
        words = sorted(occurrences)
        if len(words) > steps.MOST_WORDS:
            # In the order in which CountVectorizer sorts, which decides between words of equal counts.
            totals = np.array([occurrences[word] for word in words], dtype=np.float64)
            kept = sorted((-totals).argsort()[: steps.MOST_WORDS].tolist())
            words = [words[place] for place in kept]
        return Words(words, np.array([rows[word] for word in words], dtype=np.float64))

    def _of_all(self, value: Any) -> list[Any]:
        """Return what the other processes that read files have found."""
        team = self._table.team
        if team is None:
            return []
        pieces = team.gathered(self._name_of_step(), value)
        return [piece.value for rank, piece in enumerate(pieces) if rank != team.rank]

    def _summed(self, *arrays: AnyArray) -> list[AnyArray]:
        """Return sums over all processes, in the same order in each of them."""
        team = self._table.team
        if team is None:
            return list(arrays)
        pieces = team.gathered(self._name_of_step(), **{f"a{place}": array for place, array in enumerate(arrays)})
        return [sum(piece.arrays[f"a{place}"] for piece in pieces) for place in range(len(arrays))]  # type: ignore[misc]

    def _name_of_step(self) -> str:
        self._step += 1
        return f"text{self._table.features.index(self.name)}.{self._step}"

    def _training_parts(self) -> Iterator[sparse.csr_matrix]:
        """Yield the TF-IDF of the training rows that this process has read."""
        for start, part in self._matrix.parts():
            if len(rows := self._of_train(start, len(part))):
                yield matrix_of(part, len(self.words.words))[rows]

    def _training_matrix(self) -> sparse.csr_matrix:
        """Return the TF-IDF of all training rows, of which there are fewer than words."""
        own = sparse.vstack([sparse.csr_matrix((0, len(self.words.words))), *self._training_parts()], format="csr")
        team = self._table.team
        if team is None:
            return own
        arrays = {"data": own.data, "indices": own.indices, "indptr": own.indptr}
        pieces = team.gathered(self._name_of_step(), **arrays)
        found = [[piece.arrays[name] for name in arrays] for piece in pieces]
        width = len(self.words.words)
        return sparse.vstack(
            [sparse.csr_matrix(tuple(one), shape=(len(one[2]) - 1, width)) for one in found], format="csr"
        )

    def _decompose(self, svd: Any) -> None:
        width = len(self.words.words)
        basis = np.random.RandomState(svd.random_state).normal(size=(width, svd.n_components + svd.n_oversamples))
        for _ in range(svd.n_iter):
            basis = linalg.qr(self._times(basis), mode="economic")[0]
        product = self._times(basis)
        squares, turned = linalg.eigh(basis.T @ product)
        kept = squares > RANK * squares.max()
        projected = (turned[:, kept] / np.sqrt(squares[kept])).T @ product.T
        _, values, rows = linalg.svd(projected, full_matrices=False)
        largest = rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)]
        found = (rows * np.sign(largest)[:, None])[: svd.n_components]
        # Texts with fewer independent words than inputs have inputs that are 0.
        svd.components_ = np.zeros((svd.n_components, width))
        svd.components_[: len(found)] = found
        svd.singular_values_ = np.zeros(svd.n_components)
        svd.singular_values_[: len(found)] = values[: len(found)]

    def _times(self, basis: AnyArray) -> AnyArray:
        """Return ``X' X basis`` of the training rows, ``(words, columns)``."""
        found = np.zeros(basis.shape)
        for part in self._training_parts():
            found += part.T @ (part @ basis)
        return self._summed(found)[0]

    def _set_variances(self, svd: Any) -> list[Statistics]:
        """Set the explained variances, and return the statistics of each component in the training rows."""
        width, total, number = len(self.words.words), len(self._train), svd.n_components
        sums, squares, of_words = np.zeros(number), np.zeros(number), np.zeros((2, width))
        low, high = np.full(number, np.inf), np.full(number, -np.inf)
        for part in self._training_parts():
            values = part @ svd.components_.T
            sums, low, high = sums + values.sum(axis=0), np.minimum(low, values.min(0)), np.maximum(high, values.max(0))
            of_words += np.array([np.asarray(some.sum(axis=0)).ravel() for some in (part, part.multiply(part))])
        sums, of_words = self._summed(sums, of_words)
        means = sums / total
        for part in self._training_parts():  # once more: squares of differences to the mean lose no digits
            squares += np.square(part @ svd.components_.T - means).sum(axis=0)
        (squares,) = self._summed(squares)
        low, high = self._extremes(low, high)
        svd.explained_variance_ = squares / total
        whole = (of_words[1] / total - np.square(of_words[0] / total)).sum()
        svd.explained_variance_ratio_ = svd.explained_variance_ / whole
        of_components = zip(means, svd.explained_variance_, low, high, strict=True)
        return [Statistics(0.0, *map(float, one)) for one in of_components]

    def _extremes(self, low: AnyArray, high: AnyArray) -> tuple[AnyArray, AnyArray]:
        others = self._of_all([low.tolist(), high.tolist()])
        return np.min([low, *(one[0] for one in others)], axis=0), np.max([high, *(one[1] for one in others)], axis=0)
