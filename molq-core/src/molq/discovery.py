"""Find the installed backends and load the one that is asked for."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import attrs

from molq.errors import BackendError
from molq.loaded_backend import Backend

# importlib.metadata costs more to import than most of molq, and listing jobs needs no backend: so it, pluggy and the
# hooks are imported where they are used.
if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    import pluggy

BACKENDS = "molq.backends"
EXTENSIONS = "molq.extensions"

_PACKAGES = {"local": "molq-local", "slurm": "molq-slurm", "pbs": "molq-pbs", "lsf": "molq-lsf"}


@attrs.frozen(kw_only=True)
class InstalledBackend:
    """A backend that is installed, known from package metadata alone: none of its code has run.

    Attributes:
        scheduler: the name that users type.
        package: the distribution's name.
        version: the distribution's version.
        entry_point: where its hooks are.
    """

    scheduler: str
    package: str
    version: str
    entry_point: EntryPoint = attrs.field(eq=False)

    @property
    def distribution(self) -> str:
        """The package and its version, for people."""
        return f"{self.package} {self.version}"


def installed_backends() -> tuple[InstalledBackend, ...]:
    """Return every installed backend, by name, without importing any."""
    return _backends_in(_entry_points())


def load_backend(scheduler: str, installed: Iterable[InstalledBackend] | None = None) -> Backend:
    """Load the backend of ``scheduler``, with the site extensions that are installed.

    Args:
        scheduler: the name that users type.
        installed: where to look; by default what is installed.

    Raises:
        BackendError: there is none, there are several, or it or an extension breaks the contract.
    """
    points = _entry_points()
    known = _backends_in(points) if installed is None else tuple(installed)
    matching = [backend for backend in known if backend.scheduler == scheduler]
    if not matching:
        raise BackendError(_missing(scheduler, known), scheduler=scheduler)
    if len(matching) > 1:
        claims = " and ".join(backend.distribution for backend in matching)
        raise BackendError(
            f"scheduler {scheduler!r} is claimed by {claims}; uninstall all of them but one", scheduler=scheduler
        )
    return _load(matching[0], [point for point in points if point.group == EXTENSIONS])


def load_options_class(name: str) -> object:
    """Return the class ``name`` of the backend that molq knows to define it.

    Raises:
        ImportError: the backend's package is not installed, or does not have it.
    """
    scheduler = name.removesuffix("SchedulerOptions").lower()
    module, package = f"molq_{scheduler}", _PACKAGES[scheduler]
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ImportError(
            f"cannot import {name!r} from 'molq': {package} is not installed; run: pip install {package}", name=name
        ) from error
    except AttributeError as error:
        raise ImportError(
            f"cannot import {name!r} from 'molq': the installed {package} does not have it; "
            f"run: pip install --upgrade {package}",
            name=name,
        ) from error


def _entry_points() -> list[EntryPoint]:
    """Return the entry points of both groups: the search through all distributions is done once."""
    from importlib import metadata

    found = metadata.entry_points()
    return [*found.select(group=BACKENDS), *found.select(group=EXTENSIONS)]


def _backends_in(points: Iterable[EntryPoint]) -> tuple[InstalledBackend, ...]:
    found = {_described(point) for point in points if point.group == BACKENDS}
    return tuple(sorted(found, key=lambda b: (b.scheduler, b.package, b.version)))


def _described(point: EntryPoint) -> InstalledBackend:
    package, version = _origin(point)
    return InstalledBackend(scheduler=point.name, package=package, version=version, entry_point=point)


def _origin(point: EntryPoint) -> tuple[str, str]:
    """Return the distribution and version that an entry point comes from, as far as its metadata tells."""
    try:
        facts = point.dist.metadata if point.dist is not None else None
        name, version = (facts["Name"], facts["Version"]) if facts is not None else ("", "")
    except (KeyError, TypeError):
        # A distribution whose metadata is gone must not hide the others.
        name, version = "", ""
    return name or point.module, version or "of an unknown version"


def _missing(scheduler: str, known: Iterable[InstalledBackend]) -> str:
    names = ", ".join(sorted({backend.scheduler for backend in known}))
    have = f"installed are: {names}" if names else "no backend is installed"
    package = _PACKAGES.get(scheduler)
    if package:
        return f"scheduler {scheduler!r} is not installed ({have}); run: pip install {package}"
    return (
        f"there is no scheduler {scheduler!r} ({have}); check the spelling, "
        f"or install the package that provides it, such as: pip install {_PACKAGES['slurm']}"
    )


def _load(installed: InstalledBackend, extensions: Iterable[EntryPoint]) -> Backend:
    import pluggy

    from molq import hookspecs

    plugins = pluggy.PluginManager("molq")
    plugins.add_hookspecs(hookspecs)
    part = _Part(
        kind=f"the backend of scheduler {installed.scheduler!r}",
        distribution=installed.distribution,
        scheduler=installed.scheduler,
        entry_point=installed.entry_point,
    )
    part.register(plugins, name=part.distribution)
    missing = [name for name in hookspecs.REQUIRED_HOOKS if not getattr(plugins.hook, name).get_hookimpls()]
    if missing:
        raise part.broken(f"it lacks the required hook {', '.join(missing)}")
    wrapping: dict[str, str] = {}
    for point in extensions:
        extension = _Part(
            kind=f"the extension {point.name!r}",
            distribution=" ".join(_origin(point)),
            scheduler=installed.scheduler,
            entry_point=point,
        )
        name = f"{extension.kind} ({extension.distribution})"
        extension.register(plugins, name, only_wraps=True)
        wrapping[name] = extension.distribution
    return Backend(installed.scheduler, installed.distribution, plugins, wrapping)


@attrs.frozen(kw_only=True)
class _Part:
    """A backend or an extension, which is to blame by its own name for what is wrong with it."""

    kind: str
    distribution: str
    scheduler: str
    entry_point: EntryPoint

    def register(self, plugins: pluggy.PluginManager, name: str, *, only_wraps: bool = False) -> None:
        """Import the part and register its hooks, each of which is checked.

        Raises:
            BackendError: it cannot be imported, or does not fit the hooks.
        """
        from pluggy import PluginValidationError

        try:
            module = self.entry_point.load()
        except (Exception, SystemExit) as error:
            raise self.broken(f"cannot be imported: {type(error).__name__}: {error}") from error
        self._check_hooks(plugins, module, only_wraps=only_wraps)
        try:
            plugins.register(module, name=name)
            plugins.check_pending()
        except (PluginValidationError, ValueError) as error:
            raise self.broken(f"does not fit molq's hooks: {error}") from error

    def broken(self, what: str) -> BackendError:
        """Return the error that says what is wrong."""
        return BackendError(
            f"{self.kind} ({self.distribution}) cannot be used: {what}",
            scheduler=self.scheduler,
            distribution=self.distribution,
        )

    def _check_hooks(self, plugins: pluggy.PluginManager, module: object, *, only_wraps: bool) -> None:
        from molq import hookspecs

        for name, function in _hooks_in(module):
            if not hasattr(hookspecs, name):
                raise self.broken(f"{name} is no hook of molq; see molq.hookspecs for the hooks there are")
            options = plugins.parse_hookimpl_opts(module, name)
            if options is None:
                raise self.broken(f"{name} is not marked with @molq.backend.hookimpl")
            if only_wraps and not options.get("wrapper"):
                raise self.broken(f"{name} must be a wrapper, marked with @molq.backend.hookimpl(wrapper=True)")
            # pluggy calls by position, so a keyword-only argument would only fail when the hook is called.
            parameters = inspect.signature(function).parameters.values()
            bad = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
            if bad:
                raise self.broken(f"{name} takes {', '.join(bad)} as keyword-only; hooks are called by position")


def _hooks_in(module: object) -> Iterator[tuple[str, Callable[..., object]]]:
    for name in dir(module):
        if name.startswith("molq_") and inspect.isroutine(function := getattr(module, name)):
            yield name, function
