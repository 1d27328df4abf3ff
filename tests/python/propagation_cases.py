"""Makes evaluation/tests/data/propagation.json: labels and masks that two published programs
propagate through made tokens.

    git clone https://github.com/facebookresearch/dino             (made at 7c446df)
    git clone https://github.com/alexandre-eymael/CropMAE          (made at 5d0dab2)
    pip install numpy opencv-python-headless pillow torch          (OpenCV 4)
    python propagation_cases.py dino CropMAE/downstreams/propagation OUTPUT

DINO is under the Apache licence 2.0, Copyright (c) Facebook, Inc. and its affiliates. CropMAE is
under the MIT licence, Copyright (c) 2025 Alexandre Eymael, and its propagation is videowalk's, MIT,
Copyright (c) 2021 A. Jabri. None of their code is here: both programs run as they are, with modules
in place of those that they need for networks and pictures, and the file holds numbers.
"""

import importlib
import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import cv2
import numpy as np
import torch
from PIL import Image

PATCH = 4
FOLDER = tempfile.mkdtemp()
# Nothing of these reaches the numbers: networks, plots, and the pictures that are written.
for name in (
    "imageio matplotlib scipy timm timm.models timm.models.vision_transformer torchvision tqdm "
    "utils vision_transformer"
).split():
    sys.modules[name] = MagicMock()
torch.Tensor.cuda = lambda tensor, **_: tensor


def numbers(seed, count):
    """A linear congruential generator, which the test repeats: numbers in [-0.5, 0.5)."""
    state, made = seed, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        made.append((state >> 40) / 2**24 - 0.5)
    return made


def tokens(case):
    """[frames, height * width, dim]: a first frame, and a slow change of it."""
    height, width = case["grid"]
    shape = (height * width, case["dim"])
    size = shape[0] * shape[1]
    frames = [np.array(numbers(case["seed"], size))]
    for frame in range(1, case["frames"]):
        frames.append(frames[-1] + 0.4 * np.array(numbers(case["seed"] + frame, size)))
    return torch.tensor(np.stack(frames).reshape(-1, *shape).astype(np.float32))


def mask(case):
    """Rectangles, one of them over another."""
    height, width = case["size"]
    made = np.zeros((height, width), np.uint8)
    made[height // 5 : height * 3 // 5, width // 7 : width // 2] = 1
    made[height // 3 : height * 4 // 5, width * 2 // 5 : width * 5 // 6] = 2
    return made


def runs(made):
    flat = made.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=-1))
    return np.stack([flat[starts], np.diff(starts, append=flat.size)], 1).ravel().tolist()


def dino(case):
    program = importlib.import_module("eval_video_segmentation")
    program.tqdm = lambda it: it
    program.imwrite_indexed = lambda _, image, __: masks.append(np.array(image))
    program.args = args = SimpleNamespace(
        output_dir=FOLDER,
        patch_size=PATCH,
        n_last_frames=case["recent_frames"],
        size_mask_neighborhood=case["neighbourhood"],
        topk=case["top_k"],
    )
    masks, labels = [], []
    height, width = case["grid"]
    frames = tokens(case)

    class Model:
        """Its images are frame numbers."""

        patch_embed = SimpleNamespace(patch_size=PATCH)

        def get_intermediate_layers(self, image, n):
            frame = frames[int(image.flatten()[0])]
            return [torch.cat([torch.zeros(1, case["dim"]), frame])[None]]

    def read_frame(name):
        image = torch.full((3, height * PATCH, width * PATCH), float(name))
        return image, *case["size"]

    propagate = program.label_propagation

    def keep(*arguments):
        result = propagate(*arguments)
        labels.append(result[0][0].permute(1, 2, 0).clone())
        return result

    program.label_propagation, program.read_frame = keep, read_frame
    Image.fromarray(mask(case)).save(path := f"{FOLDER}/first.png")
    # Its only sizes are a short side and an exact one.
    first, original = program.read_seg(path, PATCH, [width * PATCH, height * PATCH])
    names = [str(it) for it in range(case["frames"])]
    program.eval_video_tracking_davis(args, Model(), names, "made", first, original, None)
    program.label_propagation = propagate
    return [first[0].permute(1, 2, 0), *labels], masks


def crop_mae(case):
    program = importlib.import_module("src.test")
    vos = importlib.import_module("src.data.vos")
    height, width = case["grid"]
    context = case["recent_frames"]
    frames = tokens(case)
    order = [0] * context + list(range(case["frames"]))
    input_size = (height * PATCH, width * PATCH)
    # As VOSDataset does for one frame. It reads files, and so it cannot be called here.
    resized = cv2.resize(mask(case), input_size[::-1], interpolation=cv2.INTER_NEAREST)
    classes = vos.make_lbl_set(resized[None, ..., None])
    onehot = np.stack([resized == it for it in classes[:, 0]], axis=-1)
    cells = cv2.resize(np.float32(onehot), (width, height), interpolation=cv2.INTER_LINEAR)

    # The first number of an image says which frame it is.
    images = torch.tensor(order).float().view(1, -1, 1, 1, 1).expand(-1, -1, 3, *input_size)
    model = lambda images: torch.stack(
        [torch.cat([torch.zeros(1, case["dim"]), frames[int(it.flatten()[0])]]) for it in images]
    )
    labels = torch.tensor(np.stack([cells] * len(order)))[None]
    found, masks = [], []
    program.test_utils.cm.jet = lambda it: np.zeros((*it.shape, 4))
    dump = program.test_utils.dump_predictions

    def keep(predicted, label_set, image, prefix):
        found.append(torch.tensor(predicted).clone())
        masks.append(dump(predicted, label_set, image, prefix)[1][..., 0])
        return None, None, None

    program.test_utils.dump_predictions = keep
    args = SimpleNamespace(
        video_len=context,
        map_scale=np.array([PATCH, PATCH]),
        device="cpu",
        batch_size=5,
        model_type="vits16",
        no_l2=False,
        long_mem=[0],
        radius=case["neighbourhood"],
        temperature=case["temperature"],
        topk=case["top_k"],
        norm_mask=False,
        filelist="davis",
        save_path=FOLDER,
    )
    program.test([(images, images, labels, None, [classes], None)], model, args)
    program.test_utils.dump_predictions = dump
    # As convert_davis.
    size = case["size"][::-1]
    back = lambda it: cv2.resize(it.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return found, [back(it) for it in masks]


CASES = [
    dict(program="dino", grid=[6, 9], dim=8, frames=11, seed=1, recent_frames=7, neighbourhood=12,
         top_k=5, temperature=0.1, size=[29, 41]),
    dict(program="dino", grid=[7, 6], dim=5, frames=6, seed=2, recent_frames=3, neighbourhood=1,
         top_k=3, temperature=0.1, size=[23, 26]),
    dict(program="crop_mae", grid=[6, 9], dim=8, frames=8, seed=3, recent_frames=4, neighbourhood=3,
         top_k=7, temperature=0.7, size=[29, 41]),
    dict(program="crop_mae", grid=[5, 8], dim=6, frames=5, seed=4, recent_frames=20,
         neighbourhood=20, top_k=7, temperature=0.7, size=[23, 26]),
    dict(program="crop_mae", grid=[7, 10], dim=6, frames=6, seed=5, recent_frames=2,
         neighbourhood=2.5, top_k=4, temperature=0.07, size=[28, 40]),
]
SIDES = [(854, 52), (480, 30), (832, 854), (854, 880), (880, 854), (868, 854), (476, 480), (7, 3)]


def sides():
    """Which pixel Pillow and OpenCV take along a side: the places where it is not the next one, and
    how many pixels further it is there."""
    made = []
    for before, after in SIDES:
        ramp = np.arange(before, dtype=np.int32)[None]
        pillow = np.array(Image.fromarray(ramp).resize((after, 1), 0))[0]
        opencv = cv2.resize(ramp.astype(np.float32), (after, 1), interpolation=cv2.INTER_NEAREST)[0]
        steps = [np.diff(it.astype(int), prepend=-1) for it in (pillow, opencv)]
        jumps = [[[int(at), int(it[at])] for at in np.flatnonzero(it != 1)] for it in steps]
        made.append(dict(before=before, after=after, **dict(zip(("pillow", "opencv"), jumps))))
    return made


def main(dino_folder, crop_mae_folder, output):
    sys.path[:0] = [dino_folder, crop_mae_folder]
    programs = dict(dino=dino, crop_mae=crop_mae)
    cases = []
    for case in CASES:
        labels, masks = programs[case["program"]](case)
        assert len(labels) == len(masks) == case["frames"]
        flat = [[float(f"{it:.7g}") for it in frame.flatten().tolist()] for frame in labels]
        cases.append(
            {**case, "patch": PATCH, "mask": runs(mask(case)), "labels": flat,
             "masks": [runs(it) for it in masks]}
        )
    text = json.dumps(dict(cases=cases, sides=sides()), separators=(",", ":"))
    Path(output).write_text(text.replace('},{"', '},\n{"') + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
