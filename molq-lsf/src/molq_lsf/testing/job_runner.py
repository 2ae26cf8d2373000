"""Run a job's script for real, in the way in which LSF does."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

from molq.testing.fake_programs import Record
from molq_lsf.testing.cluster_file import HOST, native_id

# So a script from standard input is wrapped: its last signal is an exit code to the shell around it.
_WRAPPED = """\
( cat <<_USER_\\SCRIPT_
{script}
_USER_SCRIPT_
) > $LSB_CHKFILENAME.shell
chmod u+x $LSB_CHKFILENAME.shell
$LSB_JOBFILENAME.shell
saveExit=$?
/bin/rm -f $LSB_JOBFILENAME.shell
(exit $saveExit)
"""


def run_job(job: Record, folder: Path) -> int:
    """Run a job; return its exit code, negative if the shell that LSF starts died of a signal."""
    file = folder / f"job-{job['id']}-{job['index'] or 0}"
    file.write_bytes(os.fsencode(_WRAPPED.format(script=job["script"])))
    environment = {
        **job["environment"],
        "LSB_JOBID": str(job["id"]),
        "LSB_JOBINDEX": str(job["index"] or 0),
        "LSB_JOBNAME": job["name"],
        "LSB_QUEUE": job["queue"],
        "LSB_JOBFILENAME": str(file),
        "LSB_CHKFILENAME": str(file),
        "LS_SUBCWD": job["cwd"],
    }
    cwd = job["cwd"] if os.path.isdir(job["cwd"]) else "/tmp"
    done = subprocess.run(
        ["/bin/sh", str(file)],
        env=environment,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        start_new_session=True,
    )
    _deliver(job, cwd, done)
    return done.returncode


def leave_files(job: Record, code: int) -> None:
    """Write into the folder of molq's script what it would have written by its end, if the job runs one."""
    match = re.search(r"^exec /bin/sh (.+)$", job["script"], re.MULTILINE)
    folder = Path(shlex.split(match[1])[0]).parent if match else None
    if folder is None or not folder.is_dir():
        return
    element = "" if job["index"] is None else f".{job['index']}"
    (folder / f"start{element}").write_text(f"{job['id']} {job['pid']} {HOST} 0\n")
    (folder / f"exit{element}").write_text(f"{code}\n")


def _deliver(job: Record, cwd: str, done: subprocess.CompletedProcess[bytes]) -> None:
    """Write what a job has printed where it was asked to go, behind LSF's report; not into a folder that is missing."""
    if job["output"] is None:
        return  # it is sent by mail
    path = os.path.join(cwd, _expanded(job["output"], job))
    report = f"Sender: LSF System <openlava@vm>\nSubject: Job {native_id(job)}: <{job['name']}>\n\n"
    report += "The output (if any) follows:\n\n"
    try:
        with open(path, "ab") as file:
            file.write(report.encode() + done.stdout + (b"" if job["error"] else done.stderr))
    except OSError:
        return


def _expanded(pattern: str, job: Record) -> str:
    expansions = {"%%": "%", "%J": str(job["id"]), "%I": str(job["index"] or 0)}
    return re.sub("%[%JI]", lambda match: expansions[match[0]], pattern)
