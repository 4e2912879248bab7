"""Which jobs people can start, and what they may say of them."""

from aiohttp import web

from daemon.api.job_types import JobTypeForm, JobTypeList
from daemon.jobs.types import JOB_TYPES, JobType
from daemon.jobs.words import job_name
from daemon.status.operations import PARTS, Answer, Operation, json_response
from daemon.tasks.words import description_of, params_in_words


async def list_job_types(request: web.Request) -> web.Response:
    """All types of jobs, as forms need them."""
    parts = request.app[PARTS]
    forms = [
        JobTypeForm(
            type=job_type,
            name=job_name(job_type),
            description=description_of(job_type),
            params=params_in_words(parts.job_types[job_type]),
            retries_rows=JOB_TYPES[job_type].retries_rows,
            stores=parts.stores_for(job_type),
        )
        for job_type in JobType  # in this order
    ]
    return json_response(JobTypeList(forms))


JOB_TYPE_OPERATIONS = (
    Operation(
        "GET",
        "/api/job-types",
        list_job_types,
        "What jobs can be asked for, with the JSON Schema of their params and the stores that they can run for",
        {200: Answer("All types of jobs", JobTypeList)},
    ),
)
