"""The official fal client against the emulator.

Its hosts are constants, always with https: the one thing that has to be replaced.
"""

import base64
import hashlib
import json

import fal_client
import fal_client.client
import httpx
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from receiver import URL, Receiver, is_mp4, is_png, raises, stretch

fal_client.client.RUN_URL_FORMAT = f"{URL}/fal/run/"
fal_client.client.QUEUE_URL_FORMAT = f"{URL}/fal/queue/"
client = fal_client.SyncClient(key="id:secret")
MODEL = "fal-ai/flux/schnell"

# Submit, watch, fetch.
stretch("fal", 4)
handle = client.submit(MODEL, {"prompt": "a fox", "image_size": "square", "output_format": "png"})
seen = [type(event).__name__ for event in handle.iter_events(with_logs=True)]
assert seen[-1] == "Completed" and "InProgress" in seen, seen
image = handle.get()["images"][0]
assert (image["width"], image["height"]) == (512, 512), image
assert is_png(httpx.get(image["url"]).content)

# The whole in one call, inline and through the queue.
stretch("fal", 1)
result = client.run(MODEL, {"prompt": "a hen", "num_images": 2})
assert len(result["images"]) == 2 and result["has_nsfw_concepts"] == [False, False], result
result = client.subscribe("fal-ai/veo2", {"prompt": "a hen", "duration": "5s"})
assert is_mp4(httpx.get(result["video"]["url"]).content)

# Cancel.
stretch("fal", 4)
handle = client.submit(MODEL, {"prompt": "a crab"})
handle.cancel()
assert isinstance(handle.status(), fal_client.Completed)
error = raises(fal_client.FalClientHTTPError, handle.get)
assert error.response.status_code == 400, error
# What is over cannot be canceled.
error = raises(fal_client.FalClientHTTPError, handle.cancel)
assert error.response.json()["status"] == "ALREADY_COMPLETED", error

# Wrong input shows up in the result.
stretch("fal", 1)
handle = client.submit(MODEL, {"image_size": "huge"})
error = raises(fal_client.FalClientHTTPError, handle.get)
places = [problem["loc"][-1] for problem in error.response.json()["detail"]]
assert (error.response.status_code, places) == (422, ["prompt", "image_size"]), error
error = raises(fal_client.FalClientHTTPError, lambda: client.submit("fal-ai/nothing", {}))
assert error.response.status_code == 404, error
wrong = fal_client.SyncClient(key="nothing")
error = raises(fal_client.FalClientHTTPError, lambda: wrong.submit(MODEL, {"prompt": "a"}))
assert error.response.status_code == 401, error

# Webhooks: the client has no verifier, so theirs is done as they document it.
receiver = Receiver()
handle = client.submit(MODEL, {"prompt": "a bell"}, webhook_url=receiver.url)
headers, body = receiver.next()
payload = json.loads(body)
assert (payload["status"], payload["request_id"]) == ("OK", handle.request_id), payload
message = "\n".join(
    [
        headers["x-fal-webhook-request-id"],
        headers["x-fal-webhook-user-id"],
        headers["x-fal-webhook-timestamp"],
        hashlib.sha256(body).hexdigest(),
    ]
).encode()
[key] = httpx.get(f"{URL}/fal/rest/.well-known/jwks.json").json()["keys"]
key = VerifyKey(base64.urlsafe_b64decode(key["x"] + "=="))
signature = bytes.fromhex(headers["x-fal-webhook-signature"])
key.verify(message, signature)
raises(BadSignatureError, lambda: key.verify(message + b" ", signature))
print("fal works")
