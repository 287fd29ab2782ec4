"""Words by which the nodes are found in the browser's search, in English and Chinese."""

# Node id → words, comma between.
WORDS = {
    "Qwen3VLLoader": (
        "qwen, vlm, vision language model, caption, load model, vision, load vlm, qwen3-vl, "
        "加载模型, 视觉模型, 视觉语言模型, 多模态"
    ),
    "Qwen3VLServer": (
        "vllm, sglang, llama.cpp, gguf, lm studio, ollama, openai, api, dashscope, remote, "
        "服务器, 远程, vlm api, llm"
    ),
    "Qwen3VLFromClip": (
        "clip, text encoder, cliploader, qwen3vl clip, reuse, share memory, 文本编码器, 共享, "
        "vlm, 复用"
    ),
    "Qwen3VLLora": "adapter, peft, fine-tune, lora, 微调, 适配器",
    "Qwen3VLUnload": "free memory, vram, purge, clear cache, unload, 释放显存, 卸载模型",
    "Qwen3VLOptions": (
        "temperature, sampling, max tokens, top p, thinking, json, 选项, 采样, 温度, 参数"
    ),
    "Qwen3VLCaption": (
        "describe image, image to text, tagger, interrogate, qwen, describe, caption, "
        "img2txt, vlm, vision, tag, tags, prompt from image, alt text, 反推, 打标, 图生文, "
        "识别, 提示词, 提示词反推, 图像描述, 描述, 标签, 识图"
    ),
    "Qwen3VLAsk": (
        "vqa, question, chat, llm, qwen, prompt, image to text, vlm, vision, "
        "visual question answering, 提问, 视觉问答, 识图, 问图, 识别"
    ),
    "Qwen3VLCompare": (
        "multiple images, several pictures, difference, vqa, multi image, qwen, 多图, "
        "比较图片, 对比, compare images, vlm, 不同"
    ),
    "Qwen3VLChat": (
        "conversation, multi-turn, history, memory, assistant, llm, qwen, 聊天, 对话, 多轮, "
        "vlm, chat"
    ),
    "Qwen3VLSaveChat": "save conversation, export chat, qwen, 保存对话, save chat",
    "Qwen3VLLoadChat": "load conversation, import chat, qwen, 载入对话, load chat",
    "Qwen3VLEnhancePrompt": (
        "prompt enhancer, prompt upsampling, rewrite prompt, prompt extend, magic prompt, "
        "qwen, 提示词扩写, 提示词优化, 润色, prompt, 提示词"
    ),
    "Qwen3VLCaptionFolder": (
        "batch caption, dataset, training captions, sidecar, qwen, tag, tag folder, "
        "batch tag, caption, 打标, 批量打标, 批量反推, 批量描述, 训练集打标, 文件夹"
    ),
    "Qwen3VLFolderImages": (
        "load images, image list, dataset, batch, load folder, folder, 图像列表, 批量加载, 文件夹"
    ),
    "Qwen3VLSaveCaptions": (
        "save text, sidecar, dataset, training captions, write txt, save caption, 保存描述, "
        "保存标签, 打标"
    ),
    "Qwen3VLCaptionReview": (
        "contact sheet, caption preview, dataset review, gallery, review captions, 检查描述, "
        "检查标签"
    ),
    "Qwen3VLEditCaption": (
        "correct caption, edit caption, write caption, change caption, fix caption, 修改描述, "
        "编辑描述, 编辑标签"
    ),
    "Qwen3VLDetect": (
        "bbox, bounding box, grounding, object detection, locate, detect, find object, 识别, "
        "检测, 目标检测, 定位, 框选, 物体识别"
    ),
    "Qwen3VLPoint": (
        "point, pointing, coordinates, sam prompt, grounding, click point, 指点, 点选, 定位, 打点"
    ),
    "Qwen3VLDetect3D": "3d box, bbox_3d, wireframe, spatial, grounding, detect 3d, 3D检测, 三维框",
    "Qwen3VLCamera": (
        "intrinsics, focal length, camera matrix, fx fy cx cy, 3d, 相机内参, 焦距, camera"
    ),
    "Qwen3VLParseDetections": "json to bbox, bbox_2d, point_2d, text to boxes, parse, 解析, 解析框",
    "Qwen3VLDrawDetections": (
        "draw bbox, annotate, visualize detections, overlay, draw boxes, 画框, 标注"
    ),
    "Qwen3VLSelectBoxes": (
        "largest box, leftmost, sort boxes, box by label, select box, 选择框, 最大的框"
    ),
    "Qwen3VLPickBox": "crop region, single box, bounding box, pick box, 取框",
    "Qwen3VLFilterBoxes": "nms, iou, duplicates, min area, aspect ratio, filter box, 过滤框, 去重",
    "Qwen3VLMergeBoxes": "join boxes, combine detections, concat, merge box, 合并框",
    "Qwen3VLScaleBoxes": "resize boxes, rescale, upscale, scale box, 缩放框",
    "Qwen3VLCropBoxes": "crop by bbox, cut out, crop each, crop, 裁剪, 裁剪框, 抠图",
    "Qwen3VLBoxesToMask": "bbox to mask, inpaint, box mask, ellipse, mask, 遮罩, 蒙版, 框转蒙版",
    "Qwen3VLBoxesToSAM2": "sam2, bbox xyxy, segment anything 2, sam, 分割",
    "Qwen3VLBoxesToSEGS": "impact pack, detailer, segs, face detailer, 面部细化",
    "Qwen3VLBoxesToText": "bbox to json, labels, export boxes, box to text, 框转文本",
    "Qwen3VLPointsToCoordinates": (
        "sam3 points, positive_coords, point prompt, points to coordinates, 点转坐标"
    ),
    "Qwen3VLCoordinatesToPoints": (
        "points editor, kjnodes, coordinates, coordinates to points, 坐标转点"
    ),
    "Qwen3VLGuiAction": (
        "agent, computer use, mobile use, click, screenshot, ui, tool call, 智能体, 点击, "
        "截图, 界面, gui"
    ),
    "Qwen3VLZoom": (
        "zoom, thinking with images, crop, look closer, magnify, detail, 放大, 细节, 看图思考"
    ),
    "Qwen3VLVideo": (
        "video caption, video description, video to text, video question, summary, qwen, 视频, "
        "视频描述, 视频问答, vlm, video captioning, 视频反推, 视频理解"
    ),
    "Qwen3VLEvents": (
        "video events, timestamps, subtitles, srt, vtt, temporal, video grounding, track, "
        "视频事件, 字幕, 时间戳, 追踪, events"
    ),
    "Qwen3VLReadText": (
        "ocr, read text, text recognition, text spotting, text detection, transcribe, "
        "文字识别, 文本检测, 读取文字, 光学字符识别, 识别, 文字提取, 提取文字, OCR识别"
    ),
    "Qwen3VLDocument": (
        "ocr, document, pdf, markdown, html, table, layout, scan, parse, 文档解析, 表格, "
        "版面分析, 文字识别, 转换为Markdown, read pdf, 识别"
    ),
    "Qwen3VLLoadPDF": "pdf, load pdf, pdf to image, document, pages, scan, 加载PDF, 文档",
    "Qwen3VLExtract": (
        "ocr, key information, invoice, receipt, form, json, extract, fields, structured, "
        "schema, 信息抽取, 发票, 收据, 表单, 结构化, 识别"
    ),
    "Qwen3VLWildcards": "wildcards, dynamic prompts, random prompt, choices, 通配符, 动态提示词",
    "Qwen3VLPickField": "json, json path, get field, pick value, 取字段, JSON取值",
    "Qwen3VLCode": (
        "screenshot to code, html, css, draw.io, svg, mermaid, matplotlib, diagram, "
        "web page, 截图转代码, 网页, 流程图, 图表转代码"
    ),
    "Qwen3VLDocumentFolder": (
        "ocr, pdf, batch ocr, documents, scans, markdown, archive, 批量文字识别, 批量PDF, "
        "文档文件夹"
    ),
    "Qwen3VLExamplePicture": "example, demo, sample, test image, 示例, 示例图像, qwen example",
    "Qwen3VLExampleClip": "example, demo, sample video, 示例, 示例视频, qwen example",
}


def search_words(node_id: str) -> list[str]:
    """The words of one node."""
    return WORDS[node_id].split(", ")
