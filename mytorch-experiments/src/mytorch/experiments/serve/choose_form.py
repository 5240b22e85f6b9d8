"""Which form the bodies have that a run is asked with."""

from __future__ import annotations

import torch

from mytorch.data.arrays.data_set import KEY as ARRAYS
from mytorch.data.images.image_folder import KEY as IMAGES
from mytorch.data.sequences.sequences import KEY as SEQUENCES
from mytorch.data.series.windows import KEY as WINDOWS
from mytorch.data.text.text_file import KEY as TEXTS
from mytorch.experiments.predict.kept_data import KeptData
from mytorch.experiments.serve.array_form import ArrayForm
from mytorch.experiments.serve.form import Form
from mytorch.experiments.serve.image_form import ImageForm
from mytorch.experiments.serve.table_form import Column, TableForm, columns_of, number_column
from mytorch.experiments.serve.text_form import TextForm
from mytorch.train.errors import RunError


def form_of(kept: KeptData, dtype: torch.dtype) -> Form:
    """That of a run, by what it keeps of its data.

    Raises RunError for data that only the data set of a plugin can read, and for what `kept` does not hold.
    """
    there = kept.preparation.keys()
    if kept.dataset is None and not kept.columns and "table" not in there:
        return ArrayForm(kept, dtype)
    if kept.dataset is None:
        return TableForm(kept, dtype, *columns_of(kept), "Each row is one of the table, as it was trained on.")
    if WINDOWS in there:
        return _windows(kept, dtype)
    if SEQUENCES in there:
        return _sequences(kept, dtype)
    for key, form in ((ARRAYS, ArrayForm), (IMAGES, ImageForm), (TEXTS, TextForm)):
        if key in there:
            return form(kept, dtype)
    raise RunError(
        f"{kept.owner}: must be a run of a table, sequences, a time series, arrays, images or a text to be served, "
        f"got one of {kept.dataset}; mytorch predict reads its files"
    )


def _windows(kept: KeptData, dtype: torch.dtype) -> TableForm:
    history = int(kept.entry["history"])
    columns = [number_column(name, [0.5] * history) for name in kept.entry["columns"]]
    about = f"Each row is a step, in the order of time; there is a prediction behind each {history} steps."
    return TableForm(kept, dtype, columns, [], about)


def _sequences(kept: KeptData, dtype: torch.dtype) -> TableForm:
    of_table = KeptData(kept.owner, kept.columns, kept.classes, {"table": kept.preparation["table"]})
    features, others = columns_of(of_table)
    who = Column(kept.entry["id"], {"type": ["string", "number"], "description": "Of which sequence it is."}, ["a"])
    when = Column(
        kept.entry["time"], {"type": ["number", "string"], "description": "When it is: a number or a date."}, [1]
    )
    about = "Each row is a step of a sequence; the rows may stand in any order."
    return TableForm(kept, dtype, [who, when, *features], [*others, str(kept.entry["target"])], about)
