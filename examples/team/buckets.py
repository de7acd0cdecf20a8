"""Make MLflow's and DVC's buckets where they are not there yet; address and keys are in the AWS_... variables."""

import boto3

client = boto3.client("s3")
present = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
for name in ("sightline-mlflow", "sightline-dvc"):
    if name not in present:
        client.create_bucket(Bucket=name)
