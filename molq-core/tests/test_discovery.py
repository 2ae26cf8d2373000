"""Backends and extensions are found by metadata, loaded one at a time, and blamed by their own names."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

GOOD = """
from molq.backend import *
@hookimpl
def molq_describe_backend():
    return BackendDescription(label="Acme", options_class=SchedulerOptions, job_id_variable="ACME_ID")
@hookimpl
def molq_render_script(request):
    return request.body
@hookimpl
def molq_submit_job(script, request, commands):
    return SubmitReceipt(scheduler_job_id="7")
@hookimpl
def molq_poll_jobs(jobs):
    return PollAnswer(reports=())
@hookimpl
def molq_cancel_jobs(jobs):
    return ()
"""

AUDIT = """
from molq.backend import hookimpl
@hookimpl(wrapper=True)
def molq_render_script(request):
    return (yield) + "# audited"
"""


class Site:
    """A folder of tiny distributions, and a Python that sees them."""

    def __init__(self, path):
        self.path = path

    def install(self, name, source, *, backends=(), extensions=(), version="1.2", metadata=True):
        """Make a distribution of one module, which is called like it."""
        module = name.replace("-", "_")
        (self.path / f"{module}.py").write_text(source)
        info = self.path / f"{module}-{version}.dist-info"
        info.mkdir()
        if metadata:
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"[molq.backends]\n{scheduler} = {module}" for scheduler in backends]
        lines += [f"[molq.extensions]\n{extension} = {module}" for extension in extensions]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")

    def python(self, code):
        """Run code and return what it printed."""
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys; sys.path.insert(0, sys.argv[1])\n" + textwrap.dedent(code),
                str(self.path),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def load(self, scheduler="acme"):
        """Return the error of loading a backend, or its label."""
        return self.python(f"""
            from molq.discovery import load_backend
            from molq.errors import BackendError
            try:
                print(load_backend({scheduler!r}).description.label)
            except BackendError as error:
                print(error, "|", error.scheduler, "|", error.distribution)
        """)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_a_backend_is_found_and_loaded_by_its_entry_point(site):
    site.install("molq-acme", GOOD, backends=["acme"])

    assert site.load() == "Acme"


def test_backends_are_listed_without_importing_any(site):
    site.install("molq-acme", "raise SystemExit('imported')", backends=["acme", "acme2"])

    listed = site.python("""
        from molq.discovery import installed_backends
        print([(b.scheduler, b.distribution) for b in installed_backends() if b.package == "molq-acme"])
        print("molq_acme" in sys.modules)
    """)

    assert listed == "[('acme', 'molq-acme 1.2'), ('acme2', 'molq-acme 1.2')]\nFalse"


def test_loading_one_backend_imports_no_other(site):
    site.install("molq-acme", GOOD, backends=["acme"])
    site.install("molq-other", "raise RuntimeError", backends=["other"])

    modules = site.python("""
        from molq.discovery import load_backend
        load_backend("acme")
        print([name for name in sys.modules if name.startswith("molq_")])
    """)

    assert modules == "['molq_acme']"


def test_a_scheduler_that_two_distributions_claim_is_refused_and_both_are_named(site):
    site.install("molq-acme", GOOD, backends=["acme"])
    site.install("molq-bcme", GOOD, backends=["acme"], version="3")

    assert "is claimed by molq-acme 1.2 and molq-bcme 3; uninstall all of them but one" in site.load()


def test_a_known_scheduler_that_is_not_installed_says_what_to_install(site):
    site.install("molq-acme", GOOD, backends=["acme"])

    told = site.python("""
        from molq import discovery
        from molq.errors import BackendError
        # Those that are known are all installed where this is developed.
        discovery._PACKAGES["nqs"] = "molq-nqs"
        try:
            discovery.load_backend("nqs")
        except BackendError as error:
            print(error)
    """)

    assert told.startswith("scheduler 'nqs' is not installed (installed are: acme")
    assert "run: pip install molq-nqs" in told


def test_an_unknown_scheduler_says_what_there_is(site):
    site.install("molq-acme", GOOD, backends=["acme"])

    assert site.load("Acme").startswith("there is no scheduler 'Acme' (installed are: acme")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import nothing_like_this", "cannot be imported: ModuleNotFoundError: No module named 'nothing_like_this'"),
        ("1/0", "cannot be imported: ZeroDivisionError"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
        ("def f(:", "cannot be imported: SyntaxError"),
        (GOOD.replace("(jobs):\n    return ()", "(job):\n    return ()"), "does not fit molq's hooks: "),
        (GOOD + "@hookimpl\ndef molq_paint(): pass", "molq_paint is no hook of molq"),
        (GOOD + "def molq_paint(): pass", "molq_paint is no hook of molq"),
        (GOOD + "def molq_find_jobs(tags): pass", "molq_find_jobs is not marked with @molq.backend.hookimpl"),
        (GOOD.replace("(jobs):\n    return ()", "(*, jobs):\n    return ()"), "molq_cancel_jobs takes jobs as keyword"),
        (GOOD.partition("@hookimpl\ndef molq_poll")[0], "it lacks the required hook molq_poll_jobs, molq_cancel_jobs"),
    ],
    ids=[
        "missing module", "raises", "exits", "syntax", "argument", "unknown hook", "unknown function", "unmarked",
        "keyword-only", "missing hook",
    ],
)  # fmt: skip
def test_a_backend_that_does_not_keep_the_contract_is_blamed_by_its_distribution(site, source, sentence):
    site.install("molq-acme", source, backends=["acme"])

    told = site.load()

    assert told.startswith("the backend of scheduler 'acme' (molq-acme 1.2) cannot be used: ")
    assert sentence in told
    assert told.endswith("| acme | molq-acme 1.2")


def test_a_backend_that_describes_itself_wrongly_is_blamed_too(site):
    site.install("molq-acme", GOOD.replace('label="Acme", ', ""), backends=["acme"])

    assert "(molq-acme 1.2) is faulty: molq_describe_backend raised TypeError" in site.load()


def test_a_broken_backend_hurts_nobody_else(site):
    site.install("molq-acme", GOOD, backends=["acme"])
    site.install("molq-broken", "1/0", backends=["broken"])

    assert site.load("acme") == "Acme"
    assert "ZeroDivisionError" in site.load("broken")


def test_a_distribution_without_metadata_hides_nobody_else(site):
    site.install("molq-acme", GOOD, backends=["acme"])
    site.install("molq-broken", GOOD, backends=["broken"], metadata=False)

    assert site.load("acme") == "Acme"
    assert site.load("broken") == "Acme"


def test_an_extension_wraps_the_hooks_of_any_backend(site):
    site.install("molq-acme", GOOD, backends=["acme"])
    site.install("site-audit", AUDIT, extensions=["audit"])

    rendered = site.python("""
        from types import SimpleNamespace
        from molq.discovery import load_backend
        print(load_backend("acme").render_script(SimpleNamespace(body="body\\n")))
    """)

    assert rendered == "body\n# audited"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("1/0", "cannot be imported: ZeroDivisionError"),
        (AUDIT.replace("(request)", "(requests)"), "does not fit molq's hooks"),
        (AUDIT.replace("molq_render_script", "molq_paint"), "molq_paint is no hook of molq"),
        (AUDIT.replace("@hookimpl(wrapper=True)", ""), "molq_render_script is not marked"),
        (
            "from molq.backend import hookimpl\n@hookimpl\ndef molq_render_script(request): return 'mine'",
            "molq_render_script must be a wrapper",
        ),
    ],
    ids=["raises", "argument", "unknown hook", "unmarked", "no wrapper"],
)
def test_a_broken_extension_is_blamed_by_its_own_name(site, source, sentence):
    site.install("molq-acme", GOOD, backends=["acme"])
    site.install("site-audit", source, extensions=["audit"], version="3.4")

    told = site.load()

    assert told.startswith("the extension 'audit' (site-audit 3.4) cannot be used: ")
    assert sentence in told
    assert told.endswith("| acme | site-audit 3.4")


def test_an_extension_that_breaks_while_it_is_used_is_blamed_by_its_own_name(site):
    site.install("molq-acme", GOOD, backends=["acme"])
    site.install("site-audit", AUDIT.replace("return (yield)", "x = yield; 1/0; return x"), extensions=["audit"])

    told = site.python("""
        from types import SimpleNamespace
        from molq.discovery import load_backend
        try:
            load_backend("acme").render_script(SimpleNamespace(body="body"))
        except Exception as error:
            print(error)
    """)

    assert told.startswith("the extension 'audit' (site-audit 1.2) is faulty: molq_render_script raised ZeroDivision")


def test_an_extension_cannot_stand_in_for_a_hook_that_the_backend_lacks(site):
    site.install("molq-acme", GOOD.replace("@hookimpl\ndef molq_cancel_jobs", "def unused"), backends=["acme"])
    site.install("site-audit", AUDIT.replace("molq_render_script(request)", "molq_cancel_jobs(jobs)"), extensions=["a"])

    assert "(molq-acme 1.2) cannot be used: it lacks the required hook molq_cancel_jobs" in site.load()
