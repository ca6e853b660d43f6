"""Families that want marks around an image, or between images, which their processors do not write."""

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
    """An image stands between a start and an end mark, by which some count its positions."""

    @property
    def image_prompt(self) -> str:
        tokenizer = self.processor.tokenizer
        for kind in ("vision", "image"):
            marks = [getattr(tokenizer, f"{kind}_{side}_token", None) for side in ("start", "end")]
            if all(marks):
                return f"{marks[0]}{self.processor.image_token}{marks[1]}"
        return str(self.processor.image_token)


@register_inputs("MllamaProcessor")
class MllamaInputs(BackboneInputs):
    """Only images that follow each other directly are all read by the text behind them."""

    image_separator = ""


@register_inputs("PixtralProcessor")
class PixtralInputs(BackboneInputs):
    """Mistral Large 4 chooses which tokens to read by their number in the row, padding included."""

    padding_side = "right"


@register_inputs("PPChart2TableProcessor")
class PPChart2TableInputs(BackboneInputs):
    """The processor writes no placeholders: 256 per image, which is what the vision encoder puts out."""

    image_prompt = f"<img>{'<imgpad>' * 256}</img>"
