"""What the model and paths named in headgate.yaml stand for: a folder, a fetched model, or a name at a hub."""

from collections.abc import Callable
from pathlib import Path

from cli.stack.faults import Fault
from workers.config import EngineConfig, VllmEngine

Fetched = Callable[[str], Path | None]


def resolve_engine(engine: EngineConfig, folder: Path, fetched: Fetched | None) -> EngineConfig | Fault:
    """The engine with its model's folder in place of its name; a Fault when the model is not here and can't be had."""
    if not isinstance(engine, VllmEngine):
        return engine
    model = _resolve_model(engine.model, folder, fetched)
    if isinstance(model, Fault):
        return model
    changes: dict[str, object] = {"model": model}
    for key in ("tokenizer", "chat_template"):
        value = getattr(engine, key)
        # Both may also be something else than a path (a hub's name, the template itself).
        if value is not None and _exists(folder / value):
            changes[key] = str((folder / value).resolve())
    if engine.speculation is not None and engine.speculation.model is not None:
        draft = _resolve_model(engine.speculation.model, folder, fetched)
        if isinstance(draft, Fault):
            return draft.under("speculation")
        changes["speculation"] = engine.speculation.model_copy(update={"model": draft})
    return engine.model_copy(update=changes)


def _resolve_model(name: str, folder: Path, fetched: Fetched | None) -> str | Fault:
    here = (folder / Path(name).expanduser()).resolve()
    if _exists(here):
        return str(here)
    found = fetched(name) if fetched is not None else None
    if found is not None:
        return str(found)
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return name  # owner/model: vLLM asks the hub
    if "/" in name:
        return Fault("model", f"no such folder: {here}")
    return Fault(
        "model", f"{name!r} is neither a folder in {folder.resolve()} nor a fetched model; run: headgate models fetch {name}"
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a template's text is no path, and may be too long for one
        return False
