"""Serializer fields that take a JSON type as it is: true is not 1, "12" is not 12, 12 is not "12"."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from typing import Any

from rest_framework import serializers
from rest_framework.validators import ProhibitSurrogateCharactersValidator

# All control characters but tab, line feed and carriage return; and those that make a text look like another one, by
# turning its direction.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
SURROGATE = re.compile(r"[\ud800-\udfff]")
# Characters; more can only be a file.
LONG = 10_000
MAX_INTEGER = 2**63 - 1  # the database's
MIN_SECONDS, MAX_SECONDS = 1e-6, 10**6
DECIMAL = re.compile(r"\d{1,6}(\.\d{1,6})?", re.ASCII)


class StrictCharField(serializers.CharField):
    """A string, kept as it is: nothing is trimmed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)
        # It takes seconds for an image: it looks at every character in Python.
        slow = ProhibitSurrogateCharactersValidator
        self.validators = [each for each in self.validators if not isinstance(each, slow)]

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("Must be a string.")
        if not data.isascii() and SURROGATE.search(data):
            raise serializers.ValidationError("Holds half of a character.")
        if self.has_control(data):
            raise serializers.ValidationError("Holds a control character.")
        if not self.allow_blank and not data.strip():
            raise serializers.ValidationError("Must not be blank.")
        text: str = super().to_internal_value(data)
        return text

    def has_control(self, text: str) -> bool:
        """It holds a character that no text needs."""
        return CONTROL.search(text) is not None


class DataField(StrictCharField):
    """A file in base64, or where it is. Whatever else it is, is found when it is read."""

    def to_internal_value(self, data: Any) -> str:
        if isinstance(data, dict) and "sha256" in data:
            raise serializers.ValidationError("Send the file itself again; it is not kept, and this only describes it.")
        return super().to_internal_value(data)

    def has_control(self, text: str) -> bool:
        return len(text) < LONG and super().has_control(text)


class StrictIntegerField(serializers.IntegerField):
    """A JSON number without a fraction part: JSON has one kind of numbers, and 2.0 is the integer 2."""

    def to_internal_value(self, data: Any) -> int:
        if type(data) is float and data.is_integer():
            data = int(data)
        if type(data) is not int:
            raise serializers.ValidationError("Must be an integer.")
        if abs(data) > MAX_INTEGER:
            raise serializers.ValidationError("Is too large.")
        return int(data)


class StrictFloatField(serializers.FloatField):
    """A JSON number. Infinity cannot come in: the parser refuses it, and 1e999 is checked here."""

    def to_internal_value(self, data: Any) -> float:
        if type(data) not in (int, float) or data != data or abs(data) > 1e308:
            raise serializers.ValidationError("Must be a number.")
        return float(data)


class ObjectField(serializers.Field[dict[str, Any], Any, Any, Any]):
    """A JSON object that every database takes; what it means is checked elsewhere."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise serializers.ValidationError("Must be an object.")
        try:
            text = json.dumps(data, allow_nan=False, ensure_ascii=False)
            text.encode()
        except ValueError as error:
            raise serializers.ValidationError("Holds infinity, or half of a character.") from error
        if "\\u0000" in text or CONTROL.search(text):
            raise serializers.ValidationError("Holds a control character.")
        return data


class SecondsField(serializers.Field[Fraction, Any, Any, Any]):
    """A duration: a decimal string as documented, or a JSON number."""

    def to_internal_value(self, data: Any) -> Fraction:
        is_number = type(data) in (int, float) and MIN_SECONDS <= data < MAX_SECONDS
        is_text = isinstance(data, str) and DECIMAL.fullmatch(data) and Fraction(data)
        if not is_number and not is_text:
            raise serializers.ValidationError('Must be a positive decimal number of seconds, such as "2" or "1.5".')
        return Fraction(str(data))
