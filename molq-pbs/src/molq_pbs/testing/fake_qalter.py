"""Answer as qalter of OpenPBS 23.06.06 does."""

from __future__ import annotations

from molq.testing.fake_programs import Record
from molq_pbs.testing.cluster_file import find, full_id
from molq_pbs.testing.fake_errors import UNKNOWN_JOB, say
from molq_pbs.testing.job_life import judge_dependencies
from molq_pbs.testing.qsub_options import parse_dependencies

_USAGE = """\
usage: qalter [-a date_time] [-A account_string] [-c interval] [-e path]
\t[-h hold_list] [-j y|n] [-k keep] [-l resource_list]
\t[-m mail_options] [-M user_list] [-N jobname] [-o path] [-p priority]
\t[-R o|e|oe] [-r y|n] [-S path] [-u user_list] [-W dependency_list]
\t[-P project_name] job_identifier...
       qalter --version"""


def qalter(argv: list[str], cluster: Record) -> int:
    """Change a job."""
    flag, value, operand = argv
    depend = None
    if flag == "-W":
        key, _, expression = value.partition("=")
        if key == "comment":
            words = "Cannot set attribute, read only or insufficient permission  comment"
            return say(f"qalter: {words} {full_id(cluster, operand)}", 155)
        depend = parse_dependencies(expression) if key == "depend" else None
        if depend is None:
            return say(f"qalter: illegal -W value\n{_USAGE}", 2)
    found = find(cluster, operand)
    if found is None or not found[0]["is_kept"]:
        return say(f"qalter: {UNKNOWN_JOB[cluster['dialect']]} {full_id(cluster, operand)}", 153)
    job, _ = found
    if job["state"] == "F":
        return say("qalter: Job has finished", 35)
    if job["is_strangers"]:
        return say(f"qalter: Unauthorized Request  {full_id(cluster, operand)}", 159)
    if flag == "-N":
        job["name"] = value
    if depend is not None:
        # Only what has the same type is replaced.
        kinds = {kind for kind, _ in depend}
        job["depend"] = [edge for edge in job["depend"] if edge[0] not in kinds] + depend
        job["asked_depend"] = [edge for edge in job["asked_depend"] if edge[0] not in kinds] + depend
        job["is_registered"] = False
        judge_dependencies(cluster)
    return 0
