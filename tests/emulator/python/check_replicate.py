"""The official replicate client against the emulator."""

import httpx
import replicate
from replicate.exceptions import ReplicateError
from replicate.webhook import InvalidSignatureError, Webhooks

from receiver import URL, Receiver, is_mp4, is_png, raises, stretch, until

client = replicate.Client(api_token="r8_any", base_url=f"{URL}/replicate")
MODEL = "black-forest-labs/flux-schnell"

# Create and wait.
prediction = client.models.predictions.create(
    MODEL, input={"prompt": "a fox", "output_format": "png", "num_outputs": 2}
)
assert prediction.status in ("starting", "processing"), prediction
prediction.wait()
assert prediction.status == "succeeded", prediction
assert len(prediction.output) == 2, prediction.output
assert prediction.metrics["predict_time"] > 0
assert is_png(httpx.get(prediction.output[0]).content)

# The whole in one call. What is not https stays a URL and becomes no file.
[url] = client.run(MODEL, input={"prompt": "a hen", "output_format": "png"})
assert is_png(httpx.get(url).content)
url = client.run("bytedance/seedance-1-pro", input={"prompt": "a hen", "duration": 2})
assert is_mp4(httpx.get(url).content)

# Cancel, twice.
stretch("replicate", 4)
prediction = client.predictions.create(model=MODEL, input={"prompt": "a crab"})
prediction.cancel()
prediction.reload()
assert prediction.status == "canceled", prediction
prediction.cancel()

# The list has them, newest first.
assert client.predictions.list().results[0].id == prediction.id

# Errors.
stretch("replicate", 1)
error = raises(
    ReplicateError,
    lambda: client.models.predictions.create(MODEL, input={"prompt": "a", "num_outputs": 9}),
)
assert (error.status, error.title) == (422, "Input validation failed"), error
error = raises(ReplicateError, lambda: client.predictions.get("nothing"))
assert error.status == 404, error
refused = client.models.predictions.create(MODEL, input={"prompt": "something nsfw"})
refused.wait()
assert refused.status == "failed" and "NSFW" in refused.error, refused
keyless = replicate.Client(api_token="", base_url=f"{URL}/replicate")
error = raises(ReplicateError, lambda: keyless.predictions.get("nothing"))
assert error.status == 401, error

# Webhooks, checked by the client itself.
receiver = Receiver()
secret = client.webhooks.default.secret()
prediction = client.models.predictions.create(
    MODEL,
    input={"prompt": "a bell"},
    webhook=receiver.url,
    webhook_events_filter=["start", "completed"],
)
statuses = []
for _ in range(2):
    headers, body = receiver.next()
    Webhooks.validate(headers=headers, body=body.decode(), secret=secret, tolerance=300)
    statuses.append(httpx.Response(200, content=body).json()["status"])
assert statuses == ["processing", "succeeded"], statuses
raises(
    InvalidSignatureError,
    lambda: Webhooks.validate(headers=headers, body=body.decode() + " ", secret=secret),
)
until("the prediction is over", lambda: client.predictions.get(prediction.id).output)
print("replicate works")
