"""Families whose processors are called in a way of their own, one file each. Importing them registers them: nothing else
needs to know that they exist."""

from . import (  # noqa: F401
    blip,
    blip2,
    deepseek_ocr2,
    florence2,
    fuyu,
    got_ocr2,
    idefics,
    idefics2,
    instructblip,
    kosmos2,
    kosmos2_5,
    llama4,
    mllama,
    molmo2,
    paligemma,
    perception_lm,
    pix2struct,
    pixtral,
    pp_chart2table,
    qwen_vl,
    udop,
    uform_gen,
    video_llava,
)
