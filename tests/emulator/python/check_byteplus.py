"""The official BytePlus ModelArk client against the emulator."""

import base64
import json

import httpx
from byteplussdkarkruntime import Ark
from byteplussdkarkruntime._exceptions import (
    ArkBadRequestError,
    ArkConflictError,
    ArkNotFoundError,
)

from receiver import URL, Receiver, is_mp4, raises, stretch, until

client = Ark(api_key="any", base_url=f"{URL}/byteplus/api/v3", max_retries=0)
tasks = client.content_generation.tasks
FILM = "seedance-1-0-pro-250528"

# Pictures.
answer = client.images.generate(
    model="seedream-4-0-250828", prompt="a fox", size="1024x768", watermark=False
)
assert answer.usage.generated_images == 1 and answer.data[0].size == "1024x768", answer
assert httpx.get(answer.data[0].url).content[:2] == b"\xff\xd8"
answer = client.images.generate(
    model="seedream-4-0-250828", prompt="a hen", size="1K", response_format="b64_json"
)
assert base64.b64decode(answer.data[0].b64_json)[:2] == b"\xff\xd8"

# Films, with a call at each change, which tells how it is by then.
receiver = Receiver()
stretch("byteplus", 2)
text = {"type": "text", "text": "a fox --rs 480p --dur 3"}
created = tasks.create(model=FILM, content=[text], callback_url=receiver.url)
states = [json.loads(receiver.next()[1])["status"] for _ in range(3)]
assert states == ["queued", "running", "succeeded"], states
task = tasks.get(task_id=created.id)
assert (task.status, task.resolution, task.duration) == ("succeeded", "480p", 3), task
assert is_mp4(httpx.get(task.content.video_url).content)
assert tasks.list(task_ids=[created.id]).total == 1

# Delete what is over, cancel what waits, and leave what runs.
tasks.delete(task_id=created.id)
raises(ArkNotFoundError, lambda: tasks.get(task_id=created.id))
stretch("byteplus", 4)
waiting = tasks.create(model=FILM, content=[text])
tasks.delete(task_id=waiting.id)
assert tasks.get(task_id=waiting.id).status == "cancelled"
running = tasks.create(model=FILM, content=[text])
until("it runs", lambda: tasks.get(task_id=running.id).status == "running")
error = raises(ArkConflictError, lambda: tasks.delete(task_id=running.id))
assert error.code == "InvalidAction.RunningTaskDeletion", error

# Errors.
stretch("byteplus", 1)
error = raises(
    ArkBadRequestError, lambda: client.images.generate(model="seedream-4-0-250828", prompt="nsfw")
)
assert error.code == "InputTextSensitiveContentDetected", error
error = raises(ArkNotFoundError, lambda: client.images.generate(model="nothing", prompt="a"))
assert error.code == "InvalidEndpointOrModel.NotFound", error
# The client cannot be without a key.
stranger = httpx.post(f"{URL}/byteplus/api/v3/images/generations", json={})
assert stranger.status_code == 401, stranger
assert stranger.json()["error"]["code"] == "AuthenticationError", stranger.text
print("byteplus works")
