"""An S3 of this machine, by moto: every test session has a bucket of its own."""

import os

import pytest


@pytest.fixture(scope="session")
def bucket():
    """URL of an empty bucket; the environment tells this process and its children where it is."""
    for package in ("moto", "s3fs", "flask"):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'moto[server]' s3fs")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    given = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    former = {name: os.environ.get(name) for name in given}
    os.environ |= given
    boto3.client("s3").create_bucket(Bucket="maskfold")
    yield "s3://maskfold"
    server.stop()
    for name, value in former.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
