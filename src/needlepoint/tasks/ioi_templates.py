"""Sentences of indirect object identification, with slots for names, a place and an object.

{A} and {B} are the two people in the order in which they are introduced, {S} is the one who is
named again. Every slot follows a space, so a name looks the same to a tokenizer in each of them.
"""

from __future__ import annotations

TEMPLATES: tuple[str, ...] = (
    "When {A} and {B} went to the {place}, {S} gave a {object} to",
    "After {A} and {B} met at the {place}, {S} handed a {object} to",
    "Then, {A} and {B} walked past the {place}, and {S} offered a {object} to",
    "While {A} and {B} were waiting at the {place}, {S} passed a {object} to",
    "Yesterday, {A} and {B} spent the morning at the {place}, and {S} lent a {object} to",
    "Last week, {A} and {B} visited the {place} together, and {S} brought a {object} to",
    "As {A} and {B} were leaving the {place}, {S} returned a {object} to",
    "One day, {A} and {B} were talking at the {place}, and {S} sold a {object} to",
    "When {A} and {B} got back from the {place}, {S} showed a {object} to",
    "After {A} and {B} had lunch near the {place}, {S} gave a {object} to",
    "On Sunday, {A} and {B} drove to the {place}, where {S} handed a {object} to",
    "Once {A} and {B} had found the {place}, {S} decided to give a {object} to",
    "In the evening, {A} and {B} sat down outside the {place}, and {S} passed a {object} to",
    "Before {A} and {B} left for the {place}, {S} promised a {object} to",
    "It was raining when {A} and {B} reached the {place}, so {S} offered a {object} to",
    "Although {A} and {B} had argued at the {place}, {S} still brought a {object} to",
)
