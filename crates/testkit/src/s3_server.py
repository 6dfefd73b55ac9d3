# A server of S3 and STS for tests: moto, which checks signatures as AWS does.
#
# Says its port, a key's identifier, its secret and a role on one line, and ends when its input does.
import json
import sys

import boto3
from moto import settings
from moto.server import ThreadedMotoServer

BUCKET = "cache"

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
port = server.get_host_and_port()[1]


def client(service):
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="setup",
        aws_secret_access_key="setup",
    )


def policy(action, **more):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, **more}]})


iam = client("iam")
iam.create_user(UserName="rbuild")
iam.put_user_policy(UserName="rbuild", PolicyName="all", PolicyDocument=policy("s3:*", Resource="*"))
key = iam.create_access_key(UserName="rbuild")["AccessKey"]
client("s3").create_bucket(Bucket=BUCKET)

# From now on requests are to be signed, and allowed to who signs them.
settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
print(port, key["AccessKeyId"], key["SecretAccessKey"], flush=True)
sys.stdin.read()
server.stop()
