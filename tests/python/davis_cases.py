"""Makes evaluation/tests/data/davis.json: small videos of masks, and what the toolkit of DAVIS 2017
says of them.

    git clone https://github.com/davisvideochallenge/davis2017-evaluation    (made at ac7c43f)
    pip install numpy scipy opencv-python-headless scikit-image pillow tqdm
    PYTHONPATH=davis2017-evaluation python davis_cases.py evaluation/tests/data/davis.json

The toolkit is under the 3-clause BSD licence, Copyright (c) 2020, DAVIS: Densely Annotated VIdeo
Segmentation. None of its code is here: the masks are drawn below, and the file holds numbers.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from davis2017 import utils
from davis2017.evaluation import DAVISEvaluation


def blob(height, width, y, x, radius, rng):
    """A wobbly disc."""
    rows, columns = np.mgrid[:height, :width]
    angle = np.arctan2(rows - y, columns - x)
    phases = rng.uniform(0, 2 * np.pi, 3)
    wobble = sum(0.12 * np.sin((n + 2) * angle + phase) for n, phase in enumerate(phases))
    return np.hypot(rows - y, columns - x) < radius * (1 + wobble)


def video(name, height, width, frames, objects, seed):
    """Truth and prediction, [frames, height, width]; the prediction drifts away."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((frames, height, width), np.uint8)
    predicted = np.zeros_like(truth)
    for index in range(1, objects + 1):
        y, x = rng.uniform(0.2, 0.8, 2) * (height, width)
        step = rng.uniform(-0.06, 0.06, 2) * (height, width)
        radius = rng.uniform(0.12, 0.3) * min(height, width)
        for frame in range(frames):
            place = (y + frame * step[0], x + frame * step[1])
            drift = rng.uniform(-0.02, 0.05, 2) * frame * radius
            truth[frame][blob(height, width, *place, radius, rng)] = index
            predicted[frame][blob(height, width, *(place + drift), radius * 0.95, rng)] = index
    if name == "vanishing":
        truth[frames // 2 :][truth[frames // 2 :] == 1] = 0
        predicted[frames * 3 // 4 :][predicted[frames * 3 // 4 :] == 1] = 0
        predicted[2:4] = 0
    if name == "void":
        truth[:, : height // 4] = 255
        truth[3, :, : width // 3] = 255
    if name == "edges":
        noise = rng.random((frames, height, width))
        predicted[noise > 0.9] = 1
        truth[:, -1, :], truth[:, :, -1] = 1, 2
        truth[4], predicted[5] = 1, 1
    if name == "late":
        truth[0][truth[0] == objects] = 0
        predicted[predicted == objects] = 0
    return truth, predicted


VIDEOS = {
    "one": (23, 37, 9, 1, 1),
    "edges": (17, 24, 8, 2, 2),
    "vanishing": (48, 64, 12, 2, 3),
    "void": (90, 120, 6, 2, 4),
    "late": (40, 30, 6, 3, 5),
    "wide": (300, 400, 4, 1, 6),
    "short": (20, 20, 3, 1, 7),
    "nothing": (12, 16, 9, 1, 8),
}


def runs(mask):
    """The mask in row-major order as value, length, value, length and so on."""
    flat = mask.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=-1))
    lengths = np.diff(starts, append=flat.size)
    return np.stack([flat[starts], lengths], 1).ravel().tolist()


def save(folder, masks):
    folder.mkdir(parents=True)
    for frame, mask in enumerate(masks):
        utils.save_mask(mask, folder / f"{frame:05}.png")


def main(output):
    root = Path(tempfile.mkdtemp())
    made = {name: video(name, *arguments) for name, arguments in VIDEOS.items()}
    made["nothing"][1][:] = 0
    for name, (truth, predicted) in made.items():
        save(root / "Annotations/480p" / name, truth)
        save(root / "predicted" / name, predicted)
        images = root / "JPEGImages/480p" / name
        images.mkdir(parents=True)
        for frame in range(len(truth)):
            (images / f"{frame:05}.jpg").touch()
    (root / "ImageSets/2017").mkdir(parents=True)
    (root / "ImageSets/2017/val.txt").write_text("".join(f"{name}\n" for name in made))

    per_frame = []
    original = DAVISEvaluation._evaluate_semisupervised

    def keep(*arguments):
        per_frame.append(original(*arguments))
        return per_frame[-1]

    DAVISEvaluation._evaluate_semisupervised = staticmethod(keep)
    evaluation = DAVISEvaluation(str(root), "semi-supervised", "val")
    result = evaluation.evaluate(str(root / "predicted"))

    videos, objects = [], 0
    for (name, (truth, predicted)), (j, f) in zip(made.items(), per_frame, strict=True):
        these = slice(objects, objects := objects + len(j))
        statistics = {
            measure: np.stack([result[measure][it][these] for it in "MRD"], 1).tolist()
            for measure in "JF"
        }
        videos.append(
            dict(
                name=name,
                height=truth.shape[1],
                width=truth.shape[2],
                truth=[runs(it) for it in truth],
                predicted=[runs(it) for it in predicted],
                j_frames=j.tolist(),
                f_frames=f.tolist(),
                j=statistics["J"],
                f=statistics["F"],
            )
        )
    dataset = {it.lower(): [float(np.mean(result[it][part])) for part in "MRD"] for it in "JF"}
    dataset["j_and_f"] = (dataset["j"][0] + dataset["f"][0]) / 2
    text = json.dumps(dict(videos=videos, dataset=dataset), separators=(",", ":"))
    Path(output).write_text(text.replace('},{"name"', '},\n{"name"') + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
