"""All tables of bad inputs, by the kind of the input."""

from tests.bad_inputs import bodies, clips, images, numbers, texts, urls

TABLES = {
    "bodies": bodies.CASES,
    "texts": texts.CASES,
    "numbers": numbers.CASES,
    "images": images.CASES,
    "urls": urls.CASES,
    "clips": clips.CASES,
}
