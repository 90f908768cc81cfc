"""The official runwayml client against the emulator."""

import httpx
import runwayml
import runwayml.lib.polling
from runwayml import RunwayML, TaskFailedError

from receiver import URL, is_mp4, is_png, raises, stretch

# Six seconds is for their servers.
runwayml.lib.polling.POLL_TIME = 0.2
runwayml.lib.polling.POLL_JITTER = 0.1
client = RunwayML(api_key="key_any", base_url=f"{URL}/runway", max_retries=0)

# Create and wait.
task = client.image_to_video.create(
    model="gen4_turbo", prompt_image="https://a.example/b.png", ratio="1280:720", duration=2
).wait_for_task_output()
assert (task.status, task.cost.credits) == ("SUCCEEDED", 10), task
assert is_mp4(httpx.get(task.output[0]).content)
task = client.text_to_image.create(
    model="gen4_image", prompt_text="a fox", ratio="1280:720"
).wait_for_task_output()
assert is_png(httpx.get(task.output[0]).content)

# Cancel: the task is gone. Longer in the queue, it would be throttled.
stretch("runway", 2)
created = client.text_to_video.create(
    model="veo3.1", prompt_text="a crab", ratio="1280:720", duration=4
)
assert client.tasks.retrieve(created.id).status in ("PENDING", "RUNNING")
client.tasks.delete(created.id)
raises(runwayml.NotFoundError, lambda: client.tasks.retrieve(created.id))

# Errors.
stretch("runway", 1)
error = raises(
    runwayml.BadRequestError,
    lambda: client.text_to_image.create(model="gen4_image", prompt_text="a", ratio="1:1"),
)
assert error.body["issues"][0]["path"] == ["ratio"], error.body
refused = client.text_to_image.create(model="gen4_image", prompt_text="nsfw", ratio="1280:720")
error = raises(TaskFailedError, refused.wait_for_task_output)
assert error.task_details.failure_code == "SAFETY.INPUT.TEXT", error.task_details
stranger = client.with_options(api_key="nothing")
raises(runwayml.AuthenticationError, lambda: stranger.tasks.retrieve(created.id))
assert client.organization.retrieve().tier.models["gen4_turbo"].max_concurrent_generations == 20
print("runway works")
