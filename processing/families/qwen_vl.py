"""Qwen-VL, and the many families that write images as it does: an image stands between a start and an end mark, by which
some count its positions. Their processors do not write these marks themselves."""

from ..backbone_inputs import BackboneInputs, register_inputs


@register_inputs(
    "CohereCompassProcessor",
    "Cosmos3EdgeProcessor",
    "Ernie4_5_VLMoeProcessor",
    "Exaone4_5_Processor",
    "Glm46VProcessor",
    "Glm4vProcessor",
    "Glm5NextProcessor",
    "HYV4VLProcessor",
    "HunYuanVLProcessor",
    "HyperCLOVAXVisionV2Processor",
    "Kimi_K25Processor",
    "Lfm3VlProcessor",
    "PaddleOCRVLProcessor",
    "Qwen2VLProcessor",
    "Qwen2_5OmniProcessor",
    "Qwen2_5_VLProcessor",
    "Qwen3OmniMoeProcessor",
    "Qwen3VLProcessor",
    "VideoLlama3Processor",
)
class EnclosedImageInputs(BackboneInputs):
    """The marks are those that the tokenizer names; without any, the placeholder stands alone."""

    @property
    def image_prompt(self) -> str:
        tokenizer = self.processor.tokenizer
        for kind in ("vision", "image"):
            marks = [getattr(tokenizer, f"{kind}_{side}_token", None) for side in ("start", "end")]
            if all(marks):
                return f"{marks[0]}{self.processor.image_token}{marks[1]}"
        return str(self.processor.image_token)
