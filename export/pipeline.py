"""The way of an export, step by step: network, attribution, parity, precision, worth, report, one folder in the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from export.artefact import refuse_foreign, whole_folder
from export.config import ModelConfig
from export.explain import Explained, explain, explained, gradient_of
from export.frames import Frames, frames_of
from export.given import Network, Request, Say, configured, network
from export.parity import parity, refuse
from export.precision.drift import drift, refused
from export.precision.half import to_fp16
from export.precision.int8 import to_int8
from export.report.report import Form, Report, to_json
from export.report.write import write_report
from export.session import Session
from export.worth.judge import judge
from export.worth.verdict import Worth, not_judged
from export.worth.yardstick import gradient_x_input
from runtime.contracts.errors import ModelError
from runtime.contracts.model import manifest_of
from runtime.contracts.worth import report_path
from runtime.record.evidence import refuse_in_evidence


@dataclass(frozen=True)
class Done:
    """What an export made, and what a person should know of it."""

    out: Path
    files: tuple[tuple[str, int], ...]  # name and size in bytes
    parity: tuple[str, ...]
    explanation: tuple[str, ...]
    worth: tuple[str, ...]
    warnings: tuple[str, ...]
    next_step: str
    report: Report
    without_companion: bool

    @property
    def lacks(self) -> bool:
        """Whether a file that was asked for was not written: refused by its gate, or not to be had of this graph."""
        return any(form.refused for form in self.report.precision) or self.without_companion


def export(request: Request, say: Say) -> Done:
    """Make the export and put it at `request.out` whole; `say` is told of every step as it begins.

    Raises:
        SightlineError: it could not be made, or one of its own gates refuses it; `request.out` is then as it was.
    """
    refuse_in_evidence(request.out)  # before the long work, not after it
    refuse_foreign(request.out, request.config)
    say("reading")
    text, config = configured(request)
    with whole_folder(request.out, request.config) as folder, network(request, config, say) as given:
        return _Export(request, config, given, folder, say).made(text)


class _Export:
    """One export under way; files go to a folder that nobody sees yet."""

    def __init__(self, request: Request, config: ModelConfig, given: Network, folder: Path, say: Say) -> None:
        self.request, self.config, self.given, self.folder, self.say = request, config, given, folder, say
        self.without_gradient = ""
        self.judged = 0

    def made(self, text: str) -> Done:
        """Every step in its order."""
        config, plain = self.config, self.given.onnx
        self.say("writing the attribution into the graph")
        result = explained(plain, config)
        frames = self._frames(result.onnx, config.frames.source, config.frames.count, "frames")
        self.say("parity")
        held = parity(self.given.run, self.given.name, result.onnx, config, frames)
        refuse(held, config.name)
        path = self._write("", result.onnx)
        identity = manifest_of(result.onnx, config.name).graph_sha256
        judged = frames is not None and config.worth.judge and result.attribution is not None
        gradient = self._gradient(identity) if judged or config.companion else None
        if gradient is not None and config.companion:
            self._write(".gradient", gradient)
        forms = tuple(self._forms(result.onnx, frames))
        worth = self._worth(result, frames, gradient)
        report = Report(
            graph_sha256=identity,
            model=config.name,
            parity=held,
            without_map=result.left_out,
            precision=forms,
            worth=worth,
        )
        self.say("report")
        write_report(path, result.onnx, report, frames)
        for form in forms:
            self._report_of(form, worth)
        (self.folder / f"{config.name}.yaml").write_text(text, encoding="utf-8")
        return self._done(result, report)

    def _frames(self, model: bytes, uri: str | None, count: int, what: str) -> Frames | None:
        """Frames of a source that may stand beside the configuration; None where none is named."""
        if uri is None:
            return None
        self.say(what)
        beside = self.request.config.parent / uri if self.request.config is not None else Path(uri)
        located = str(beside) if "://" not in uri and beside.exists() else uri
        found = frames_of(manifest_of(model, self.config.name), Session(model).inputs, located, count)
        return replace(found, source=uri)  # a report tells what the configuration says, not where this machine keeps it

    def _forms(self, model: bytes, frames: Frames | None) -> Iterator[Form]:
        """The other precisions, each held against its gate; one that is refused is not written."""
        wanted = self.config.precision
        if frames is None:
            return
        if wanted.fp16:
            self.say("FP16")
            yield self._form("fp16", model, to_fp16(model, frames), frames)
        if wanted.int8 is not None:
            calibration = self._frames(model, wanted.int8.calibration, wanted.int8.frames, "INT8: calibration")
            assert calibration is not None
            self.say("INT8")
            yield self._form("int8", model, to_int8(model, calibration, wanted.int8.engine, wanted.int8.rest), frames)

    def _form(self, name: str, model: bytes, form: bytes, frames: Frames) -> Form:
        found = drift(model, form, frames)
        why = tuple(refused(found, self.config.drift))
        file = "" if why else self._write(f".{name}", form).name
        return Form(name=name, file=file, drift=found, refused=why)

    def _gradient(self, identity: str) -> bytes | None:
        """The companion, which is a yardstick of the map's worth as well; None where no gradient reaches the pixels."""
        self.say("gradient at every pixel")
        try:
            return gradient_of(self.given.onnx, self.config, identity)
        except ModelError as error:
            self.without_gradient = str(error)
            return None

    def _worth(self, result: Explained, frames: Frames | None, gradient: bytes | None) -> Worth:
        gates = self.config.worth.gates
        if result.attribution is None:
            return not_judged(result.left_out or "the configuration wants no attribution", gates)
        if frames is None:
            return not_judged("the configuration names no frames.source to judge the explanation on", gates)
        if not self.config.worth.judge:
            return not_judged("the configuration says worth.judge: false", gates)
        fine = None if gradient is None else gradient_x_input(gradient, self.config, result.attribution.image)
        return judge(self.given.onnx, self._explain, frames, gates, input_gradient=fine)

    def _explain(self, plain: bytes) -> bytes:
        """The network, or a copy of it with redrawn weights, explained for its judge."""
        self.judged += 1
        self.say(f"worth: network and redrawn copies, number {self.judged}")
        return explain(plain, self.config)

    def _report_of(self, form: Form, worth: Worth) -> None:
        """A form's own report: what it changes, and the verdict on the float32 map that it agrees with so far."""
        if not form.file:
            return
        path = self.folder / form.file
        agreed = [f"{e.name}: rank correlation {e.median:.3f} in the median" for e in form.drift.explanations]
        note = f"judged in float32; this form agrees with it ({'; '.join(agreed) or 'no map'})"
        report = Report(
            graph_sha256=manifest_of(path.read_bytes(), form.file).graph_sha256,
            model=self.config.name,
            precision=(form,),
            worth=msgspec.structs.replace(worth, notes=(*worth.notes, note)),
        )
        report_path(path).write_bytes(to_json(report))

    def _write(self, form: str, content: bytes) -> Path:
        path = self.folder / f"{self.config.name}{form}.onnx"
        path.write_bytes(content)
        return path

    def _done(self, result: Explained, report: Report) -> Done:
        config, held = self.config, report.parity
        assert held is not None
        warnings = [self.given.warning] if self.given.warning else []
        warnings += [f"no attribution: {result.left_out}"] if result.left_out else []
        if config.frames.source is None:
            warnings.append("no frames.source in the configuration: parity was held on noise and extremes only")
        if config.companion and self.without_gradient:
            warnings.append(f"no companion: {self.without_gradient}")
        warnings += [f"{form.name} was not written: {why}" for form in report.precision for why in form.refused]
        drives = any(output.quantity == "steering_angle_rad" for output in config.outputs)
        file = self.request.out / f"{config.name}.onnx"
        worth = report.worth
        return Done(
            out=self.request.out,
            files=tuple((path.name, path.stat().st_size) for path in sorted(self.folder.iterdir())),
            parity=tuple(
                f"{output.name}: at most {output.max_abs:.2g} off {held.reference} (allowed {output.allowed:.2g}), "
                f"cosine {output.cosine:.6f}"
                for output in held.outputs
            ),
            explanation=_told(result),
            worth=(worth.verdict, *worth.reasons) if worth is not None else (),
            warnings=tuple(warnings),
            next_step=f"sightline run --model {file} --source SOURCE" if drives else f"sightline model show {file}",
            report=report,
            without_companion=config.companion and bool(self.without_gradient),
        )


def _told(result: Explained) -> tuple[str, ...]:
    found = result.attribution
    if found is None:
        return ("none",)
    return (f"{found.method}, at {found.layer}, {found.rows} x {found.columns}, of {found.target}",)
