"""The official openai client against the emulator."""

import base64
import io
import json
import os

import openai

from receiver import URL, Receiver, is_mp4, is_png, raises, stretch

client = openai.OpenAI(api_key="sk-any", base_url=f"{URL}/openai/v1", max_retries=0)
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"

# Pictures, always as base64.
answer = client.images.generate(model="gpt-image-2", prompt="a fox", size="1280x720", n=2)
assert len(answer.data) == 2 and answer.size == "1280x720", answer.size
assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
picture = base64.b64decode(answer.data[0].b64_json)
assert is_png(picture)

# Editing one, as a form.
answer = client.images.edit(
    model="gpt-image-1.5", image=("fox.png", io.BytesIO(picture), "image/png"), prompt="a red fox"
)
assert is_png(base64.b64decode(answer.data[0].b64_json))

# As a stream.
kinds = [
    event.type
    for event in client.images.generate(
        model="gpt-image-1-mini", prompt="a hen", stream=True, partial_images=2
    )
]
assert kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"], kinds

# Films.
stretch("openai", 4)
video = client.videos.create(model="sora-2", prompt="a fox", seconds="4")
assert video.status in ("queued", "in_progress"), video
error = raises(openai.NotFoundError, lambda: client.videos.download_content(video.id))
error = raises(openai.BadRequestError, lambda: client.videos.delete(video.id))
stretch("openai", 1)
video = client.videos.create_and_poll(
    model="sora-2", prompt="a hen", seconds="4", size="1280x720", poll_interval_ms=100
)
assert (video.status, video.progress) == ("completed", 100), video
assert is_mp4(client.videos.download_content(video.id).read())
assert client.videos.delete(video.id).deleted
raises(openai.NotFoundError, lambda: client.videos.retrieve(video.id))

# Errors.
error = raises(
    openai.BadRequestError, lambda: client.images.generate(model="gpt-image-2", prompt="nsfw")
)
assert error.code == "moderation_blocked", error
error = raises(
    openai.NotFoundError, lambda: client.images.generate(model="dall-e-3", prompt="a fox")
)
assert error.code == "model_not_found", error
error = raises(
    openai.BadRequestError,
    lambda: client.images.generate(model="gpt-image-2", prompt="a", size="1x1"),
)
assert (error.code, error.param) == ("invalid_value", "size"), error
stranger = client.with_options(api_key="nothing")
raises(openai.AuthenticationError, lambda: stranger.images.generate(prompt="a fox"))

# The project's webhook, checked by the client itself. It goes where the emulator was told.
receiver = Receiver(port=int(os.environ["WEBHOOK_PORT"]))
video = client.videos.create(model="sora-2", prompt="a bell", seconds="4")
event = None
while event is None or event["data"]["id"] != video.id:
    # Earlier films call too, as they end.
    headers, body = receiver.next()
    client.webhooks.verify_signature(body, headers, secret=SECRET)
    event = json.loads(body)
assert event["type"] == "video.completed", event
raises(
    openai.InvalidWebhookSignatureError,
    lambda: client.webhooks.verify_signature(body + b" ", headers, secret=SECRET),
)
print("openai works")
