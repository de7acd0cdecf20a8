"""What a folder of images is: its format, with the settings that read it, and the tasks that it can teach."""

from sightline.data.raw.recognition.recognising import Candidate, recognise

__all__ = ["Candidate", "recognise"]
