"""Writes scores files as users' numpy writes them, sound and broken ones, and what the sound ones hold.

    python3 make_scores.py          (in this folder, with numpy 2.4.6)

scores/NAME.npz, and scores/expected.json: {NAME: {"annotation_id": [...], "shape": [...], "scores": [row-major]}}.
"""

import json
from pathlib import Path

import numpy as np

OUT = Path(__file__).parent / "scores"


def sound(rng):
    ids = np.array([f"P{i:02}_10{i}_{7 * i}" for i in range(5)])
    flat = rng.random((5, 3), dtype=np.float32)
    views = rng.random((4, 2, 3))
    yield "plain", np.savez, {"annotation_id": ids, "scores": flat}
    yield "deflated", np.savez_compressed, {"scores": flat, "annotation_id": ids, "logits": flat, "note": np.array("x")}
    yield "fortran", np.savez, {"annotation_id": ids.astype("S"), "scores": np.asfortranarray(flat)}
    yield "views", np.savez, {"annotation_id": ids[:4], "scores": views}
    yield "views_fortran", np.savez_compressed, {"annotation_id": np.arange(-1, 3), "scores": np.asfortranarray(views)}
    yield "big_endian", np.savez, {"annotation_id": ids.astype(">U12"), "scores": flat.astype(">f8")}
    yield "unicode", np.savez, {"annotation_id": np.array(["küche", "台所_1"]), "scores": flat[:2].astype(">f4")}
    yield "small_ints", np.savez, {"annotation_id": np.array([0, 7, 255], np.uint8), "scores": flat[:3]}


def broken(rng):
    ids = np.array(["a", "b", "c"])
    flat = rng.random((3, 2), dtype=np.float32)
    nan = flat.copy()
    nan[1, 1] = np.nan
    yield "bad_object", {"annotation_id": ids.astype(object), "scores": flat}
    yield "bad_nan", {"annotation_id": ids, "scores": nan}
    yield "bad_overflow", {"annotation_id": ids, "scores": np.array([[0, 1], [1, 0], [1e39, 0]])}
    yield "bad_twice", {"annotation_id": np.array(["a", "b", "a"]), "scores": flat}
    yield "bad_empty_id", {"annotation_id": np.array(["a", "", "c"]), "scores": flat}
    yield "bad_lengths", {"annotation_id": ids[:2], "scores": flat}
    yield "bad_missing", {"annotation_id": ids, "posteriors": flat}
    yield "bad_no_ids", {"scores": flat}
    yield "bad_integers", {"annotation_id": ids, "scores": np.ones((3, 2), int)}
    yield "bad_half", {"annotation_id": ids, "scores": flat.astype(np.float16)}
    yield "bad_flat", {"annotation_id": ids, "scores": flat[:, 0]}
    yield "bad_float_ids", {"annotation_id": np.arange(3.0), "scores": flat}
    yield "bad_table", {"annotation_id": ids[:, None], "scores": flat}
    yield "bad_no_rows", {"annotation_id": ids[:0], "scores": flat[:0]}
    yield "bad_records", {"annotation_id": ids, "scores": np.zeros(3, [("p", "f4"), ("q", "f4")])}


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def main():
    rng = np.random.default_rng(3)
    OUT.mkdir(exist_ok=True)
    expected = {}
    for name, save, arrays in sound(rng):
        save(OUT / name, **arrays)
        scores = np.asarray(arrays["scores"], np.float32, order="C")
        expected[name] = {
            "annotation_id": [text(id) for id in arrays["annotation_id"]],
            "shape": scores.shape,
            "scores": [float(str(score)) for score in scores.ravel()],
        }
    for name, arrays in broken(rng):
        np.savez(OUT / name, **arrays)
    np.save(OUT / "bad_array.npy", np.ones(3, np.float32))
    (OUT / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
