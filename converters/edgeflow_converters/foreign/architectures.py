"""Nine small PyTorch models of the kinds that phones and boards run, with random weights that a seed decides.

    mobilenet-v2, mobilenet-v3, efficientnet, resnet18     classifiers of images, (1, 3, 128, 128) -> (1, 100)
    yolo          a detector with its boxes decoded, (1, 3, 160, 160) -> (1, 4 + 20, 525)
    unet          a segmenter that doubles the image, (1, 3, 96, 96) -> (1, 3, 192, 192)
    vit           a transformer over patches, (1, 3, 64, 64) -> (1, 100)
    gru, bilstm   keyword spotters over features and time, (1, 40, 50) -> (1, 12)

Each has its family's operators at a tenth of its size or less. After: MobileNetV2 (arXiv:1801.04381),
MobileNetV3 (1905.02244), EfficientNet (1905.11946) with the layers of its "lite" form, ResNet (1512.03385),
YOLOv8's heads and C2f blocks, U-Net (1505.04597), ViT (2010.11929).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch  # type: ignore[import-not-found]
import torch.nn.functional as F  # type: ignore[import-not-found]  # noqa: N812
from torch import nn

SEED = 7


class ConvUnit(nn.Sequential):
    """Convolution, batch normalization, activation; as many outputs as inputs at stride 1."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        act: Any = nn.ReLU6,
    ) -> None:
        layers = [
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        super().__init__(*layers, *([act()] if act else []))


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(channels, channels // 4, 1)
        self.excite = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Any) -> Any:
        return x * F.hardsigmoid(self.excite(F.relu(self.squeeze(self.pool(x)))))


class InvertedResidual(nn.Module):
    """Widened, filtered channel by channel, and narrowed again; added to its input where the shapes allow."""

    def __init__(
        self, inputs: int, wide: int, outputs: int, kernel: int, stride: int, act: Any, excite: bool = False
    ) -> None:
        super().__init__()
        layers: list[Any] = [] if wide == inputs else [ConvUnit(inputs, wide, 1, act=act)]
        layers.append(ConvUnit(wide, wide, kernel, stride, wide, act))
        if excite:
            layers.append(SqueezeExcite(wide))
        self.layers = nn.Sequential(*layers, ConvUnit(wide, outputs, 1, act=None))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Any) -> Any:
        return x + self.layers(x) if self.residual else self.layers(x)


def staged(stages: Sequence[tuple[int, int, int, int, int]], act: Any) -> Any:
    """The trunk of MobileNetV2 and EfficientNet: rows of (times wider, outputs, repeats, stride, kernel)."""
    layers, inputs = [ConvUnit(3, 32, 3, 2, act=act)], 32
    for wider, outputs, repeats, stride, kernel in stages:
        for place in range(repeats):
            layers.append(
                InvertedResidual(inputs, inputs * wider, outputs, kernel, 1 if place else stride, act)
            )
            inputs = outputs
    return nn.Sequential(*layers, ConvUnit(inputs, 1280, 1, act=act))


class MobileNetV2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]  # fmt: skip # noqa: E501
        self.features = staged([(*stage, 3) for stage in stages], nn.ReLU6)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 100))

    def forward(self, x: Any) -> Any:
        return self.classifier(self.features(x).mean([2, 3]))


class EfficientNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        stages = [(1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 3, 2, 5), (6, 320, 1, 1, 3)]  # fmt: skip # noqa: E501
        self.features = staged(stages, nn.SiLU)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(1280, 100)

    def forward(self, x: Any) -> Any:
        return self.classifier(self.pool(self.features(x)).flatten(1)).softmax(-1)


class MobileNetV3(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        relu, swish = nn.ReLU, nn.Hardswish
        # kernel, width, outputs, squeeze and excite, activation, stride: table 2 of the paper
        rows = [
            (3, 16, 16, True, relu, 2), (3, 72, 24, False, relu, 2), (3, 88, 24, False, relu, 1),
            (5, 96, 40, True, swish, 2), (5, 240, 40, True, swish, 1), (5, 240, 40, True, swish, 1),
            (5, 120, 48, True, swish, 1), (5, 144, 48, True, swish, 1), (5, 288, 96, True, swish, 2),
            (5, 576, 96, True, swish, 1), (5, 576, 96, True, swish, 1),
        ]  # fmt: skip
        layers, inputs = [ConvUnit(3, 16, 3, 2, act=swish)], 16
        for kernel, wide, outputs, excite, act, stride in rows:
            layers.append(InvertedResidual(inputs, wide, outputs, kernel, stride, act, excite))
            inputs = outputs
        self.features = nn.Sequential(*layers, ConvUnit(96, 576, 1, act=swish))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Linear(576, 1024), nn.Hardswish(), nn.Linear(1024, 100))

    def forward(self, x: Any) -> Any:
        return self.classifier(torch.flatten(self.pool(self.features(x)), 1))


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = ConvUnit(inputs, outputs, 3, stride, act=nn.ReLU)
        self.second = ConvUnit(outputs, outputs, act=None)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else ConvUnit(inputs, outputs, 1, stride, act=None)

    def forward(self, x: Any) -> Any:
        return F.relu(self.second(self.first(x)) + self.shortcut(x))


class ResNet18(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers, inputs = [ConvUnit(3, 64, 7, 2, act=nn.ReLU), nn.MaxPool2d(3, 2, 1)], 64
        for outputs, stride in [(64, 1), (128, 2), (256, 2), (512, 2)]:
            layers += [BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1)]
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(512, 100)

    def forward(self, x: Any) -> Any:
        return self.classifier(self.pool(self.features(x)).flatten(1))


def silu_unit(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> Any:
    return ConvUnit(inputs, outputs, kernel, stride, act=nn.SiLU)


class C2f(nn.Module):
    """YOLOv8's block: half the channels go through a bottleneck, and all that was made is joined."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.split = silu_unit(inputs, outputs, 1)
        self.bottleneck = nn.Sequential(silu_unit(half, half), silu_unit(half, half))
        self.join = silu_unit(outputs + half, outputs, 1)

    def forward(self, x: Any) -> Any:
        parts = list(self.split(x).chunk(2, 1))
        parts.append(parts[-1] + self.bottleneck(parts[-1]))
        return self.join(torch.cat(parts, 1))


class Yolo(nn.Module):
    """Boxes as (x, y, w, h) in pixels and a score for each class, at three strides."""

    CLASSES, BINS, SIDE = 20, 8, 160
    STRIDES = (8, 16, 32)

    def __init__(self) -> None:
        super().__init__()
        self.to_8 = nn.Sequential(
            silu_unit(3, 16, 3, 2), silu_unit(16, 32, 3, 2), C2f(32, 32), silu_unit(32, 64, 3, 2), C2f(64, 64)
        )
        self.to_16 = nn.Sequential(silu_unit(64, 96, 3, 2), C2f(96, 96))
        self.to_32 = nn.Sequential(silu_unit(96, 128, 3, 2), C2f(128, 128))
        self.before_pools, self.after_pools = silu_unit(128, 64, 1), silu_unit(256, 128, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.up_16, self.up_8 = C2f(224, 96), C2f(160, 64)
        widths = (64, 96, 128)
        self.boxes = nn.ModuleList(
            nn.Sequential(silu_unit(width, 32), nn.Conv2d(32, 4 * self.BINS, 1)) for width in widths
        )
        self.classes = nn.ModuleList(
            nn.Sequential(silu_unit(width, 32), nn.Conv2d(32, self.CLASSES, 1)) for width in widths
        )
        self.register_buffer("bins", torch.arange(self.BINS).float().view(1, self.BINS, 1, 1))
        anchors, strides = [], []
        for stride in self.STRIDES:
            side = self.SIDE // stride
            y, x = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
            anchors.append(torch.stack([x, y]).view(2, -1))
            strides.append(torch.full((1, side * side), float(stride)))
        self.register_buffer("anchors", torch.cat(anchors, 1)[None])
        self.register_buffer("strides", torch.cat(strides, 1)[None])

    def forward(self, x: Any) -> Any:
        at_8 = self.to_8(x)
        at_16 = self.to_16(at_8)
        at_32 = self.before_pools(self.to_32(at_16))
        once = self.pool(at_32)
        twice = self.pool(once)
        at_32 = self.after_pools(torch.cat([at_32, once, twice, self.pool(twice)], 1))
        at_16 = self.up_16(torch.cat([doubled(at_32), at_16], 1))
        at_8 = self.up_8(torch.cat([doubled(at_16), at_8], 1))
        heads = zip((at_8, at_16, at_32), self.boxes, self.classes, strict=True)
        told = torch.cat([torch.cat([boxes(x), classes(x)], 1).flatten(2) for x, boxes, classes in heads], 2)
        boxes, classes = told.split([4 * self.BINS, self.CLASSES], 1)
        batch, _, places = boxes.shape
        sides = boxes.view(batch, 4, self.BINS, places).transpose(1, 2).softmax(1)
        near, far = F.conv2d(sides, self.bins)[:, 0].chunk(2, 1)
        first, last = self.anchors - near, self.anchors + far
        decoded = torch.cat([(first + last) / 2, last - first], 1) * self.strides
        return torch.cat([decoded, classes.sigmoid()], 1)


def doubled(x: Any) -> Any:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class UNet(nn.Module):
    WIDTHS = (16, 32, 64, 128)

    def __init__(self) -> None:
        super().__init__()
        narrow = list(zip(self.WIDTHS, self.WIDTHS[1:], strict=False))
        self.down = nn.ModuleList(twice(i, o) for i, o in [(3, self.WIDTHS[0]), *narrow[:-1]])
        self.bottom = twice(*narrow[-1])
        self.pool = nn.MaxPool2d(2)
        self.grow = nn.ModuleList(nn.ConvTranspose2d(o, i, 2, 2) for i, o in reversed(narrow))
        self.up = nn.ModuleList(twice(2 * i, i) for i, _ in reversed(narrow))
        self.head = nn.Conv2d(self.WIDTHS[0], 3, 1)

    def forward(self, x: Any) -> Any:
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
            x = self.pool(x)
        x = self.bottom(x)
        for grow, up, skip in zip(self.grow, self.up, reversed(skips), strict=True):
            x = up(torch.cat([grow(x), skip], 1))
        return F.interpolate(self.head(x), scale_factor=2.0, mode="bilinear", align_corners=False)


def twice(inputs: int, outputs: int) -> Any:
    return nn.Sequential(ConvUnit(inputs, outputs, act=nn.ReLU), ConvUnit(outputs, outputs, act=nn.ReLU))


class Attention(nn.Module):
    """Of several heads, whose queries, keys and values are made in one and taken apart in five dimensions.

    `fused` says whether PyTorch's one operator does it, or it is written out as models did before there was
    one.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.fused = True
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Any) -> Any:
        batch, tokens, width = x.shape
        parts = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            mixed = F.scaled_dot_product_attention(queries, keys, values)
        else:
            scale = (width // self.heads) ** -0.5
            mixed = (queries @ keys.transpose(-2, -1) * scale).softmax(-1) @ values
        return self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))


class TransformerBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Any) -> Any:
        x = x + self.attention(self.norm_1(x))
        return x + self.mlp(self.norm_2(x))


class VisionTransformer(nn.Module):
    WIDTH, HEADS, LAYERS, SIDE, PATCH = 96, 3, 4, 64, 8

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, self.WIDTH, self.PATCH, self.PATCH)
        count = (self.SIDE // self.PATCH) ** 2
        self.token = nn.Parameter(torch.randn(1, 1, self.WIDTH) * 0.2)
        self.positions = nn.Parameter(torch.randn(1, count + 1, self.WIDTH) * 0.2)
        self.blocks = nn.Sequential(*[TransformerBlock(self.WIDTH, self.HEADS) for _ in range(self.LAYERS)])
        self.norm = nn.LayerNorm(self.WIDTH)
        self.classifier = nn.Linear(self.WIDTH, 100)

    def forward(self, x: Any) -> Any:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        return self.classifier(self.norm(self.blocks(x))[:, 0])


class KeywordSpotter(nn.Module):
    """A convolution over time, two recurrent layers, and what the last step says."""

    def __init__(self, recurrent: Any, directions: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(40, 64, 3, padding=1)
        self.recurrent = recurrent(64, 64, 2, batch_first=True, bidirectional=directions == 2)
        self.head = nn.Linear(64 * directions, 12)

    def forward(self, x: Any) -> Any:
        steps, _ = self.recurrent(F.relu(self.convolution(x)).transpose(1, 2))
        return self.head(steps[:, -1])


Made = tuple[Callable[[], Any], tuple[int, ...]]
ARCHITECTURES: dict[str, Made] = {
    "mobilenet-v2": (MobileNetV2, (1, 3, 128, 128)),
    "mobilenet-v3": (MobileNetV3, (1, 3, 128, 128)),
    "efficientnet": (EfficientNet, (1, 3, 128, 128)),
    "resnet18": (ResNet18, (1, 3, 128, 128)),
    "yolo": (Yolo, (1, 3, 160, 160)),
    "unet": (UNet, (1, 3, 96, 96)),
    "vit": (VisionTransformer, (1, 3, 64, 64)),
    "gru": (lambda: KeywordSpotter(nn.GRU, 1), (1, 40, 50)),
    "bilstm": (lambda: KeywordSpotter(nn.LSTM, 2), (1, 40, 50)),
}
"""How each is made, and the shape it takes."""


def seeded(name: str, examples: Any) -> Any:
    """The model `name` with its weights, ready to answer. `examples` is a batch of what it is for."""
    torch.manual_seed(SEED)
    model = ARCHITECTURES[name][0]()
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for layer in model.modules():
            spread(layer, generator)
        # Random layers forget their input within a few; normalized by what they really get, as trained ones
        # are, each passes it on, and a product that is wrong somewhere gives a wrong answer.
        model.train()(examples)
    return model.eval()


def spread(layer: Any, generator: Any) -> None:
    """Weights and scales that differ from channel to channel, so that a converter that loses one is seen."""

    def even(like: Any) -> Any:
        """Of mean 0 and variance 1, and none far out, which would leave few of 8 bits to the others."""
        return (torch.rand(like.shape, generator=generator) * 2 - 1) * 3**0.5

    if isinstance(layer, nn.BatchNorm2d):
        layer.momentum = None  # its statistics are then all of the examples'
        layer.weight.copy_(torch.rand(layer.weight.shape, generator=generator) * 0.5 + 0.75)
        # Mostly on the side that activations pass on: cut at its middle, a signal loses a third at every
        # layer, and what the next normalization brings back is as much rounding as signal. Trained models do
        # not do that.
        layer.bias.copy_(even(layer.bias) * 0.1 + 1)
    elif isinstance(layer, nn.Conv2d):
        layer.weight.copy_(even(layer.weight) * 1.4 / layer.weight[0].numel() ** 0.5)
    elif isinstance(layer, nn.ConvTranspose2d):
        layer.weight.copy_(even(layer.weight) * 1.4 / layer.weight.shape[0] ** 0.5)
    elif isinstance(layer, nn.Linear):
        layer.weight.copy_(even(layer.weight) / layer.weight[0].numel() ** 0.5)
