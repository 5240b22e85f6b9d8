"""Each kind of data, asked for over HTTP and by `mytorch predict`: the answers are the same to the bit."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mytorch.data import TableError
from mytorch.experiments import train_experiment
from mytorch.experiments.runs.write_predictions import write_predictions

for name in ("starlette", "uvicorn", "prometheus_client", "httpx2"):
    pytest.importorskip(name)

SOME = {"requires": ["mytorch-nn", "mytorch-optim", "mytorch-data"], "epochs": 1, "batch_size": 8}


def layer(kind, **arguments):
    return {"type": kind, **arguments}


def trained(folder, data, layers, loss="CrossEntropyLoss", **model):
    content = {
        "name": "served",
        **SOME,
        "data": data,
        "model": {"type": "Sequential", "layers": layers, **model},
        "loss": layer(loss),
        "optimizer": layer("SGD", lr=0.01),
    }
    return train_experiment(content, output=folder / "runs", quiet=True)


def written(run, source, suffix):
    """What `mytorch predict` writes for a file."""
    output = Path(source).parent / f"written{suffix}"
    write_predictions(run, Path(source), output, force=True)
    return output


def post(client, body, media="application/json", **headers):
    content = body if isinstance(body, (bytes, str)) else json.dumps(body)
    answer = client.post("/predict", content=content, headers={"Content-Type": media, **headers})
    assert answer.status_code == 200, answer.text
    return answer


def answer_to_examples(client):
    """Each example of the document is answered."""
    content = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]["content"]
    for media, form in content.items():
        if "example" in form:
            post(client, form["example"], media)
    return content


@pytest.fixture
def table(tmp_path):
    draw = np.random.default_rng(0)
    lines = ["size;colour;day;note;price"]
    for number in range(40):
        size = "" if number % 7 == 3 else f"{draw.normal():.3f}".replace(".", ",")
        colour = ("red", "dark; green", "blue")[number % 3]
        lines.append(
            f'{size};"{colour}";2024-{number % 12 + 1:02}-11;n{number};{draw.normal() + 5:.2f}'.replace(".", ",")
        )
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "table.csv"


def test_a_table_of_numbers_texts_dates_and_missing_cells(table, asking, tmp_path):
    data = {
        "standardize": True,
        "targets": "standardize",
        "train": layer(
            "Table",
            path=str(table),
            target="price",
            features=["size", "colour", "day"],
            encode="one-hot",
            dates="parts",
            missing="mean",
            delimiter=";",
            decimal=",",
        ),
    }
    run = trained(tmp_path, data, [layer("LazyLinear", out_features=1)], "MSELoss")
    (tmp_path / "new.csv").write_text('colour;day;size\n"dark; green";2025-02-03;1,25\nred;2024-05-06;\n')
    rows = [
        {"size": 1.25, "colour": "dark; green", "day": "2025-02-03"},
        {"note": "x", "price": None, "size": None, "colour": "red", "day": "2024-05-06"},
    ]
    with asking(run) as client:
        answer = post(client, (tmp_path / "new.csv").read_bytes(), "text/csv")
        assert answer.text == written(run, tmp_path / "new.csv", ".csv").read_text()
        told = post(client, {"rows": rows}).json()["predictions"]
        assert [row["prediction"] for row in told] == run.predict(tmp_path / "new.csv").values.flatten().tolist()
        content = answer_to_examples(client)
        schema = content["application/json"]["schema"]["oneOf"][0]["properties"]["rows"]["items"]
        assert schema["properties"]["size"]["type"] == ["number", "null"]
        assert schema["properties"]["colour"]["enum"] == ["blue", "dark; green", "red", None]
        assert schema["properties"]["note"] == {"description": "Not used."}
        bad = client.post("/predict", json={"rows": [*rows, {**rows[0], "colour": "pink\nor so"}]})
        assert "request: row 3, column 'colour' must be a category that was trained on" in bad.text
        lines = client.post("/predict", json={"rows": [{**rows[0], "colour": "a\nb\nc"}, {**rows[0], "size": "x"}]})
        assert "request: row 1, column 'colour'" in lines.text or "request: row 2, column 'size'" in lines.text


def test_categories_that_were_not_trained_on_are_warned_of(table, asking, tmp_path):
    options = {"encode": "one-hot", "missing": "mean", "unseen": "none", "delimiter": ";", "decimal": ","}
    source = layer("Table", path=str(table), target="price", features=["size", "colour"], **options)
    run = trained(tmp_path, {"train": source}, [layer("LazyLinear", out_features=1)], "MSELoss")
    with asking(run) as client:
        told = post(client, {"rows": [{"size": 1, "colour": "pink"}]}).json()
        assert told["warnings"] == [
            "request: column 'colour' has a category that was not trained on in 1 row, taken as none of the known: "
            "'pink'"
        ]


def test_a_time_series(asking, tmp_path):
    draw = np.random.default_rng(1)
    lines = ["load,heat", *(f"{a:.4f},{b:.4f}" for a, b in draw.normal(size=(50, 2)))]
    (tmp_path / "series.csv").write_text("\n".join(lines) + "\n")
    data = {
        "standardize": True,
        "train": layer("Windows", path=str(tmp_path / "series.csv"), target="load", history=4, horizon=2),
    }
    run = trained(tmp_path, data, [layer("Flatten"), layer("LazyLinear", out_features=2)], "MSELoss")
    (tmp_path / "new.csv").write_text("\n".join(lines[:8]) + "\n")
    rows = [[float(cell) for cell in line.split(",")] for line in lines[1:8]]
    with asking(run) as client:
        answer = post(client, (tmp_path / "new.csv").read_bytes(), "text/csv")
        assert answer.text == written(run, tmp_path / "new.csv", ".csv").read_text()
        told = post(client, {"columns": ["load", "heat"], "rows": rows}).json()["predictions"]
        assert [list(row["prediction"].values()) for row in told] == run.predict(tmp_path / "new.csv").values.tolist()
        assert list(told[0]["prediction"]) == ["load +1", "load +2"]
        answer_to_examples(client)
        short = client.post("/predict", json={"columns": ["load", "heat"], "rows": rows[:3]})
        assert "request: must have at least history = 4 rows, got 3" in short.json()["error"]["message"]


def test_sequences(asking, tmp_path):
    draw = np.random.default_rng(2)
    lines = ["who,when,x,way"]
    for who in range(24):
        lines += [f"w{who},{step},{draw.normal():.3f},{'up' if who % 2 else 'down'}" for step in range(who % 5 + 1)]
    (tmp_path / "walks.csv").write_text("\n".join(lines) + "\n")
    source = layer("Sequences", path=str(tmp_path / "walks.csv"), target="way", id="who", time="when")
    layers = [
        layer("GRU", input_size=1, hidden_size=4, batch_first=True),
        *(layer("Take", index=0), layer("LastStep"), layer("Linear", in_features=4, out_features=2)),
    ]
    run = trained(tmp_path, {"train": source}, layers, type="Padded")
    (tmp_path / "new.csv").write_text("when,who,x\n2,b,0.5\n1,a,0.25\n1,b,1.5\n")
    rows = [{"when": 2, "who": "b", "x": 0.5}, {"when": 1, "who": "a", "x": 0.25}, {"when": 1, "who": "b", "x": 1.5}]
    with asking(run) as client:
        answer = post(client, (tmp_path / "new.csv").read_bytes(), "text/csv")
        assert answer.text == written(run, tmp_path / "new.csv", ".csv").read_text()
        told = post(client, {"rows": rows}).json()["predictions"]
        assert [row["name"] for row in told] == ["b", "a"]
        found = [list(row["probabilities"].values()) for row in told]
        assert found == run.predict(tmp_path / "new.csv").probabilities.tolist()
        answer_to_examples(client)


def test_images(asking, tmp_path):
    draw = np.random.default_rng(3)

    def image(size=(10, 12), kind="png"):
        file = io.BytesIO()
        Image.fromarray(draw.integers(0, 255, (*size, 3), dtype=np.uint8)).save(file, kind)
        return file.getvalue()

    for name in ("cat", "dog"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in range(6):
            (tmp_path / "train" / name / f"{number}.png").write_bytes(image())
    source = layer("ImageFolder", path=str(tmp_path / "train"), size=8)
    layers = [layer("Flatten"), layer("Linear", in_features=192, out_features=2)]
    run = trained(tmp_path, {"train": source, "standardize": True}, layers)
    images = [image(), image((20, 9), "jpeg"), *(image() for _ in range(9))]
    (tmp_path / "new").mkdir()
    for number, content in enumerate(images, 1):
        (tmp_path / "new" / f"{number:02}.{'jpg' if number == 2 else 'png'}").write_bytes(content)
    expected = run.predict(tmp_path / "new").probabilities.tolist()
    alone = run.predict(tmp_path / "new" / "02.jpg").probabilities.tolist()
    with asking(run) as client:
        told = post(client, {"images": [base64.b64encode(one).decode() for one in images]}).json()["predictions"]
        assert [list(row["probabilities"].values()) for row in told] == expected
        told = post(client, images[1], "image/jpeg").json()["predictions"]
        assert [list(row["probabilities"].values()) for row in told] == alone
        assert post(client, images[0], "image/png", Accept="text/csv").text.startswith("prediction,probability_cat")
        answer_to_examples(client)
        assert "curl -H &#x27;Content-Type: image/png&#x27; --data-binary @image.png" in client.get("/").text
        for body, expected in (
            (["*"], "image 1 must be a file in base64"),
            (
                [base64.b64encode(images[0]).decode(), base64.b64encode(b"GIF89a").decode()],
                "image 2 must be a PNG or JPEG",
            ),
            ([base64.b64encode(images[0][:60]).decode()], "request: image 1: must be"),
            ([3], "image 1 must be a file in base64, got a number"),
        ):
            answer = client.post("/predict", json={"images": body})
            assert (answer.status_code, expected in answer.text) == (422, True), answer.text


def test_arrays_with_a_class_for_each_place(asking, tmp_path):
    draw = np.random.default_rng(4)
    x, y = draw.normal(size=(16, 1, 3, 4)), draw.integers(0, 2, (16, 3, 4))
    np.savez(tmp_path / "images.npz", pixels=x, y=y)
    source = layer("Arrays", path=str(tmp_path / "images.npz"), inputs="pixels", targets="y", classes=["sky", "sea"])
    run = trained(tmp_path, {"train": source}, [layer("Conv2d", in_channels=1, out_channels=2, kernel_size=1)])
    np.savez(tmp_path / "new.npz", pixels=x[:3])
    with asking(run) as client:
        answer = post(client, (tmp_path / "new.npz").read_bytes(), "application/x-npz")
        with (
            np.load(io.BytesIO(answer.content)) as found,
            np.load(written(run, tmp_path / "new.npz", ".npz")) as expected,
        ):
            assert found.files == expected.files
            assert all(np.array_equal(found[name], expected[name]) for name in found.files)
            shares, indices = expected["probabilities"].tolist(), expected["prediction"].tolist()
        told = post(client, {"rows": x[:3].tolist()}).json()
        assert told["classes"] == ["sky", "sea"]
        assert [row["probabilities"] for row in told["predictions"]] == shares
        assert [row["prediction"] for row in told["predictions"]] == indices
        answer_to_examples(client)
        narrow = x[:2].tolist()
        narrow[1][0][2] = [1.0]
        for body, expected in (
            ({"rows": [[1.0]]}, "row 1 must be a list of 1, got a list of 1"),
            ({"rows": narrow}, "row 2, 1, 3 must be a list of 4, got a list of 1"),
            ({"rows": [[[[True] * 4] * 3]]}, "row 1, 1, 1, 1 must be a number, got true"),
            ({"rows": [[[["1"] * 4] * 3]]}, "row 1, 1, 1, 1 must be a number, got a text"),
            ({"rows": [[[[None] * 4] * 3]]}, "row 1, 1, 1, 1 must be a number, got null"),
            ({"rows": [[[[10**400] * 4] * 3]]}, "numbers must be"),
        ):
            answer = client.post("/predict", json=body)
            assert answer.status_code == 422, answer.text
            if body["rows"] != [[1.0]]:
                assert expected in answer.json()["error"]["message"]
        refused = client.post(
            "/predict",
            content=json.dumps({"rows": x[:1].tolist()}),
            headers={"Accept": "text/csv", "Content-Type": "application/json"},
        )
        assert (refused.status_code, "must allow application/json or application/x-npz" in refused.text) == (406, True)
        np.savez_compressed(tmp_path / "zeros.npz", pixels=np.zeros((20_000, 1, 3, 4)))
        zeros = (tmp_path / "zeros.npz").read_bytes()
        assert post(client, zeros, "application/x-npz").status_code == 200
        with asking(run, body=len(zeros)) as strict:
            packed = strict.post("/predict", content=zeros, headers={"Content-Type": "application/x-npz"})
        assert packed.status_code == 413
        assert f"arrays must have at most {8 * len(zeros)} bytes, got 19201" in packed.json()["error"]["message"]
        damaged = client.post("/predict", content=b"PK\x03\x04", headers={"Content-Type": "application/x-npz"})
        assert (damaged.status_code, damaged.json()["error"]["kind"]) == (422, "TableError")


def test_a_text(asking, tmp_path):
    (tmp_path / "text.txt").write_text("she sells sea shells by the sea shore " * 10)
    source = layer("TextFile", path=str(tmp_path / "text.txt"), block_size=8)
    layers = [
        layer("Embedding", num_embeddings=11, embedding_dim=11),
        layer("Permute", dims=[0, 2, 1]),
    ]
    run = trained(tmp_path, {"train": source}, layers)
    (tmp_path / "new.txt").write_text("she sells shells by the shore")
    with asking(run) as client:
        answer = post(client, (tmp_path / "new.txt").read_bytes(), "text/plain", Accept="application/x-npz")
        with (
            np.load(io.BytesIO(answer.content)) as found,
            np.load(written(run, tmp_path / "new.txt", ".npz")) as expected,
        ):
            assert np.array_equal(found["probabilities"], expected["probabilities"])
        refused = client.post("/predict", content="SHE SELLS SHELLS", headers={"Content-Type": "text/plain"})
        assert refused.status_code == 422
        assert "request: characters must be among the" in refused.text
        short = client.post("/predict", content="she", headers={"Content-Type": "text/plain"})
        assert "request: must have more tokens than block_size = 8, got 3" in short.text


def test_rows_of_a_shape_that_the_run_does_not_know(asking, tmp_path):
    run = trained(
        tmp_path,
        {"train": layer("AddingProblem", samples=32, length=6)},
        [layer("Flatten"), layer("LazyLinear", out_features=1)],
        "MSELoss",
    )
    x = torch.randn(3, 6, 2, generator=torch.Generator().manual_seed(5))
    with asking(run) as client:
        told = post(client, {"rows": x.tolist()}).json()["predictions"]
        assert [row["prediction"] for row in told] == run.predict(x).values.flatten().tolist()
        assert client.post("/predict", json={"rows": [[[1.0]]]}).status_code == 422


def test_the_options_of_a_table_that_is_read(table, asking, tmp_path):
    source = layer(
        "Table", path=str(table), target="price", features=["size"], missing="mean", delimiter=";", decimal=","
    )
    run = trained(tmp_path, {"train": source}, [layer("LazyLinear", out_features=1)], "MSELoss")
    run.reading = {"delimiter": "\t", "decimal": "."}
    with asking(run) as client:
        expected = post(client, {"rows": [{"size": 1.5}]}).json()["predictions"]
        assert (
            post(client, "size\tprice\n1.5\t2\n", "text/csv", Accept="application/json").json()["predictions"]
            == expected
        )
        content = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]["content"]
        assert "separated by '\\t'" in content["text/csv"]["schema"]["description"]
    with pytest.raises(TableError):
        run.predict(table)
