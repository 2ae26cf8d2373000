"""Say what qstat 23.06.06, or Torque's, shows of the fake cluster's jobs: their attributes, in its order."""

from __future__ import annotations

from collections.abc import Iterator

from molq.testing.fake_programs import Record
from molq_pbs.testing.cluster_file import job_id, show_time
from molq_pbs.testing.job_life import dependants_of

_KEPT_IN_QUEUE = "QHWT"


_USED = {"cpupercent": "0", "cput": "00:00:00", "mem": "0kb", "ncpus": "1", "vmem": "0kb"}


def attributes(cluster: Record, job: Record, index: int | None = None) -> Iterator[tuple[str, str]]:
    """Yield the attributes of a job, an array or an element as ``qstat -f`` prints them."""
    rows = _torque_rows if cluster["dialect"] == "torque" else _rows
    yield from ((name, value) for name, value in rows(cluster, job, index) if value is not None)


def _rows(cluster: Record, job: Record, index: int | None) -> Iterator[tuple[str, str | None]]:
    """Yield the attributes in OpenPBS's order; None for one that this job does not have."""
    shows_array = _is_shown_as_its_array(cluster, job, index)
    run = job if index is None or shows_array else job["elements"][str(index)]
    has_run = run["run_count"] > 0 and job_is_no_array(job, index)
    is_placed = has_run and run["state"] not in _KEPT_IN_QUEUE
    options, host, submitted = job["options"], cluster["host"], show_time(job["submitted"])
    depend = [] if index is not None else [*_depend(cluster, job), *dependants_of(cluster, job)]
    yield "Job_Name", job["name"]
    yield "Job_Owner", f"{cluster['user']}@localhost"
    for name, value in _USED.items():
        yield f"resources_used.{name}", value if is_placed else None
    yield "resources_used.walltime", _clock((run["ended"] or run["started"]) - run["started"]) if is_placed else None
    yield "job_state", shown_state(job, index)
    yield "queue", job["queue"]
    yield "server", host
    yield "Account_Name", job["account"]
    yield "Checkpoint", "u"
    yield "ctime", submitted
    yield "depend", ",".join(depend) or None
    yield "Error_Path", f"localhost:{_path(job, 'e', index)}"
    yield "exec_host", f"{host}/0" if is_placed else None
    yield "exec_vnode", f"({host}:ncpus=1)" if is_placed else None
    yield "Hold_Types", hold_types(job) if index is None or not has_run else None
    yield "Join_Path", options.get("j", "n")
    yield "Keep_Files", options.get("k", "n")
    yield "Mail_Points", options.get("m", "a")
    yield "Mail_Users", options.get("M")
    yield "mtime", show_time(run["ended"] or run["started"] or job["submitted"])
    yield "Output_Path", f"localhost:{_path(job, 'o', index)}"
    yield "Priority", options.get("p", "0")
    yield "qtime", submitted
    yield "Rerunable", "False" if options.get("r") == "n" else "True"
    for name, value in job["resources"].items():
        yield f"Resource_List.{name}", value
    yield "stime", _shown(run["started"])
    yield "obittime", _shown(run["ended"])
    yield "session_id", "31278" if is_placed else None
    yield "jobdir", "/home" if is_placed else None
    yield "substate", str(run["substate"])
    yield "Variable_List", ",".join(job["variables"])
    comment = run["comment"] or (job["comment"] if not has_run else None)
    yield "comment", "Subjob finished" if shows_array else comment
    yield "etime", submitted
    yield "run_count", str(run["run_count"]) if has_run else None
    yield "Stageout_status", "1" if run["state"] == "F" and run["status"] is not None else None
    yield "Exit_status", None if run["status"] is None else str(run["status"])
    yield "Submit_arguments", _escaped(job["submit_arguments"]) if index is None or shows_array else None
    yield from () if shows_array else _array_rows(cluster, job, index)
    yield "history_timestamp", str(run["ended"] or job["submitted"]) if run["state"] == "F" else None
    yield "project", options.get("P", "_pbs_project_default")
    yield "Submit_Host", "localhost"


def job_is_no_array(job: Record, index: int | None) -> bool:
    """Tell whether this is something that runs: a job or an element, and no array as a whole."""
    return job["array"] is None or index is not None


def shown_state(job: Record, index: int | None = None) -> str:
    """Return the letter: an element that is over shows X until its array is."""
    if index is None:
        return str(job["state"])
    state = str(job["elements"][str(index)]["state"])
    if state == "F" and job["state"] != "F":
        return "X"
    return "H" if state == "Q" and job["state"] == "H" else state


def _is_shown_as_its_array(cluster: Record, job: Record, index: int | None) -> bool:
    """Tell whether the server has nothing of its own to show of an element: it never ran, or there is no history."""
    run = job if index is None else job["elements"][str(index)]
    return index is not None and run["state"] == "F" and (run["run_count"] == 0 or not cluster["history"])


def hold_types(job: Record) -> str:
    """Return the kinds of hold."""
    return ("s" if job["depend"] else "") + str(job["holds"]) or "n"


def _array_rows(cluster: Record, job: Record, index: int | None) -> Iterator[tuple[str, str]]:
    if job["array"] is None:
        return
    if index is not None:
        if job["elements"][str(index)]["run_count"]:
            yield "array_id", job_id(cluster, job)
            yield "array_index", str(index)
        return
    runs = job["elements"].values()
    over = [run for run in runs if run["state"] == "F"]
    counts = {
        "Queued": sum(run["state"] in _KEPT_IN_QUEUE for run in runs),
        "Running": sum(run["state"] in "RS" for run in runs),
        "Exiting": sum(run["state"] == "E" for run in runs),
        "Expired": 0 if job["state"] == "F" and _any_ran(job) else len(over),
    }
    waiting = [int(number) for number, run in job["elements"].items() if run["state"] in _KEPT_IN_QUEUE]
    yield "array", "True"
    yield "array_state_count", " ".join(f"{name}:{count}" for name, count in counts.items())
    yield "array_indices_submitted", job["array_spec"].partition("%")[0]
    yield "array_indices_remaining", _range(waiting, job["array"]) or "-"
    if "%" in job["array_spec"]:
        yield "max_run_subjobs", job["array_spec"].partition("%")[2]


def _any_ran(job: Record) -> bool:
    return any(run["run_count"] for run in job["elements"].values())


def _range(waiting: list[int], all_indices: list[int]) -> str:
    if not waiting:
        return ""
    step = all_indices[1] - all_indices[0]
    if len(waiting) == 1:
        return str(waiting[0])
    return f"{waiting[0]}-{waiting[-1]}" + (f":{step}" if step > 1 else "")


def _depend(cluster: Record, job: Record) -> list[str]:
    groups: dict[str, list[str]] = {}
    for kind, upstream_id in job["depend"]:
        groups.setdefault(kind, []).append(f"{upstream_id}.{cluster['host']}@{cluster['host']}")
    return [":".join([kind, *ids]) for kind, ids in groups.items()]


def _path(job: Record, letter: str, index: int | None) -> str:
    given = job["options"].get(letter)
    tail = "" if job["array"] is None else ".^array_index^"
    path = str(given or f"{job['cwd']}/{job['name']}.{letter}{job['number']}{tail}")
    has_own = index is not None and job["elements"][str(index)]["run_count"] > 0
    return path.replace("^array_index^", str(index)) if has_own else path


def _escaped(text: str) -> str:
    """Return a value as ``-w`` shows it: its line breaks are no line breaks."""
    return text.replace("\n", "\\n")


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _shown(seconds: int | None) -> str | None:
    return None if seconds is None else show_time(seconds)


def _torque_rows(cluster: Record, job: Record, index: int | None) -> Iterator[tuple[str, str | None]]:
    """Yield what Torque's documentation shows of jobs."""
    run = job if index is None else job["elements"][str(index)]
    yield "Job_Name", job["name"]
    yield "Job_Owner", f"{cluster['user']}@localhost"
    yield "job_state", "C" if run["state"] == "F" else shown_state(job, index).replace("B", "R")
    yield "queue", job["queue"]
    yield "server", cluster["host"]
    yield "ctime", show_time(job["submitted"])
    yield "depend", ",".join(_depend(cluster, job)) or None
    yield "exec_host", f"{cluster['host']}/0" if run["run_count"] else None
    yield "Hold_Types", hold_types(job)
    yield "Output_Path", f"localhost:{_path(job, 'o', index)}"
    for name, value in job["resources"].items():
        yield f"Resource_List.{name}", value
    yield "Variable_List", ",".join(job["variables"])
    yield "comment", run["comment"]
    yield "exit_status", None if run["status"] is None else str(run["status"])
    yield "submit_args", _escaped(job["submit_arguments"])
    yield "start_time", _shown(run["started"])
    yield "start_count", str(run["run_count"]) if run["run_count"] else None
    yield "comp_time", _shown(run["ended"])
    yield "job_array_id", None if index is None else str(index)
