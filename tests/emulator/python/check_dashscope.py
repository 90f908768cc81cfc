"""The official dashscope client against the emulator."""

from http import HTTPStatus

import dashscope
import requests
from dashscope import ImageSynthesis, MultiModalConversation, VideoSynthesis

from receiver import URL, is_mp4, is_png, stretch, until

dashscope.base_http_api_url = f"{URL}/alibabacloud/api/v1"
dashscope.api_key = "sk-any"

# Create and wait.
answer = ImageSynthesis.call(model="wan2.5-t2i-preview", prompt="a fox", n=2, size="1024*768")
assert answer.output.task_status == "SUCCEEDED", answer
assert answer.usage.image_count == 2 and len(answer.output.results) == 2, answer
assert is_png(requests.get(answer.output.results[0].url).content)
answer = VideoSynthesis.call(model="wan2.5-t2v-preview", prompt="a fox", size="832*480", duration=5)
assert answer.output.task_status == "SUCCEEDED", answer
assert is_mp4(requests.get(answer.output.video_url).content)

# Pictures at once.
answer = MultiModalConversation.call(
    model="qwen-image-max", messages=[{"role": "user", "content": [{"text": "a hen"}]}]
)
assert answer.status_code == HTTPStatus.OK, answer
[content] = answer.output.choices[0].message.content
assert is_png(requests.get(content["image"]).content)

# Cancel: only what waits.
stretch("alibabacloud", 4)
task = VideoSynthesis.async_call(model="wan2.5-t2v-preview", prompt="a crab")
assert task.output.task_status == "PENDING", task
canceled = VideoSynthesis.cancel(task)
assert canceled.status_code == HTTPStatus.OK, canceled
assert VideoSynthesis.fetch(task).output.task_status == "CANCELED"
again = VideoSynthesis.cancel(task)
assert (again.status_code, again.code) == (400, "UnsupportedOperation"), again

# Errors.
stretch("alibabacloud", 1)
wrong = ImageSynthesis.async_call(model="wan2.5-t2i-preview", prompt="a", size="wide")
failed = ImageSynthesis.wait(wrong)
assert (failed.output.task_status, failed.output.code) == ("FAILED", "InvalidParameter"), failed
refused = ImageSynthesis.call(model="wan2.5-t2i-preview", prompt="nsfw")
assert refused.output.code == "DataInspectionFailed", refused
unknown = ImageSynthesis.async_call(model="wan9-t2x", prompt="a")
assert (unknown.status_code, unknown.code) == (400, "InvalidParameter"), unknown
stranger = ImageSynthesis.async_call(model="wan2.5-t2i-preview", prompt="a", api_key="nothing")
assert (stranger.status_code, stranger.code) == (401, "InvalidApiKey"), stranger
until("the list has it", lambda: VideoSynthesis.list(status="CANCELED").status_code == 200)
print("dashscope works")
