<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="zh-CN" sourcelanguage="en">
<context>
    <name>Panels.Choices</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>auto</source>
        <translation>自动</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>all</source>
        <translation>全部</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>in boxes</source>
        <translation>在三维框内</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>always</source>
        <translation>始终</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>never</source>
        <translation>从不</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>overwrite</source>
        <translation>覆盖</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>keep others</source>
        <translation>保留其他</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>allow overlap</source>
        <translation>允许重叠</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>binary</source>
        <translation>二值</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>semantic</source>
        <translation>语义</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>soft-tissue</source>
        <translation>软组织</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>lung</source>
        <translation>肺</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>bone</source>
        <translation>骨</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>brain</source>
        <translation>脑</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>liver</source>
        <translation>肝</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>mediastinum</source>
        <translation>纵隔</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>angio</source>
        <translation>血管</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>stroke</source>
        <translation>卒中</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>spine</source>
        <translation>脊柱</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>agreement</source>
        <translation>一致性</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>diversity</source>
        <translation>多样性</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>mix</source>
        <translation>混合</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>random</source>
        <translation>随机</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Choices.py"/>
        <source>first</source>
        <translation>按顺序</translation>
    </message>
</context>
<context>
    <name>Panels.ConnectionPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/ConnectionPanel.py"/>
        <source>Connecting …</source>
        <translation>正在连接…</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ConnectionPanel.py"/>
        <source>Cancelled.</source>
        <translation>已取消。</translation>
    </message>
</context>
<context>
    <name>Panels.DraftPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/DraftPanel.py"/>
        <source>Your unsaved work is back (segments: {count}).</source>
        <translation>未保存的工作已恢复（分割段：{count}）。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/DraftPanel.py"/>
        <source>There is unsaved work on this image, of {time} (segments: {count}).

Continue it? If not, it is deleted.</source>
        <translation>此图像有未保存的工作，时间 {time}（分割段：{count}）。

是否继续？如果不继续，它将被删除。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/DraftPanel.py"/>
        <source>Your unsaved work on the server is deleted.</source>
        <translation>服务器上您未保存的工作已删除。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/DraftPanel.py"/>
        <source>Unsaved work: {reason}</source>
        <translation>未保存的工作：{reason}</translation>
    </message>
</context>
<context>
    <name>Panels.FindPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/FindPanel.py"/>
        <source>Looking for {name} …</source>
        <translation>正在查找 {name}…</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FindPanel.py"/>
        <source>Nothing was found.</source>
        <translation>未找到任何对象。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FindPanel.py"/>
        <source>Found: {name}.</source>
        <translation>已找到：{name}。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FindPanel.py"/>
        <source>Found: {name} (certainty {percent} %).</source>
        <translation>已找到：{name}（确定度 {percent} %）。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FindPanel.py"/>
        <source>Not found: {name}.</source>
        <translation>未找到：{name}。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FindPanel.py"/>
        <source>That it is there after all: {percent} %.</source>
        <translation>其实存在的可能性：{percent} %。</translation>
    </message>
</context>
<context>
    <name>Panels.FirstRunPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/FirstRunPanel.py"/>
        <source>The section Server on this computer shows how far it is.</source>
        <translation>“本机服务器”部分显示其进度。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FirstRunPanel.py"/>
        <source>No server was started.</source>
        <translation>未启动服务器。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FirstRunPanel.py"/>
        <source>Type the address of the server, and its token if it requires one, and press Connect.</source>
        <translation>请输入服务器地址（如需要还有令牌），然后按“连接”。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/FirstRunPanel.py"/>
        <source>Drag a box around the right kidney in the axial view (on the left of the picture).</source>
        <translation>在轴位视图中围绕右肾（图像左侧）拖出一个框。</translation>
    </message>
</context>
<context>
    <name>Panels.Pixmaps</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/Pixmaps.py"/>
        <source>epoch {number}</source>
        <translation>第 {number} 轮</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/Pixmaps.py"/>
        <source>The curve of a training.</source>
        <translation>训练曲线。</translation>
    </message>
</context>
<context>
    <name>Panels.PromptTools</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Sign: inside (T)</source>
        <translation>符号：内部 (T)</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Sign: outside (T)</source>
        <translation>符号：外部 (T)</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Click inside the object. T: outside.</source>
        <translation>在目标内部单击。T: 外部。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Click what is outside the object. T: inside.</source>
        <translation>在目标外部单击。T: 内部。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Drag a box around the object. T: outside.</source>
        <translation>围绕目标拖出一个框。T: 外部。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Drag a box around what is outside the object. T: inside.</source>
        <translation>围绕目标以外的部分拖出一个框。T: 内部。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Drag a 3D box around the object. T: outside.</source>
        <translation>围绕目标拖出一个三维框。T: 外部。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Drag a 3D box around what is outside the object. T: inside.</source>
        <translation>围绕目标以外的部分拖出一个三维框。T: 内部。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Draw a stroke inside the object. T: outside.</source>
        <translation>在目标内部画一笔。T: 外部。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Draw a stroke outside the object. T: inside.</source>
        <translation>在目标外部画一笔。T: 内部。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Draw around the object. T: outside.</source>
        <translation>沿目标轮廓画一圈。T: 外部。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>Draw around what is outside the object. T: inside.</source>
        <translation>沿目标以外部分的轮廓画一圈。T: 内部。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>The next prompts mark what is inside the object (T).</source>
        <translation>接下来的提示标记目标内部 (T)。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>The next prompts mark what is outside the object (T).</source>
        <translation>接下来的提示标记目标外部 (T)。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>point inside</source>
        <translation>内部点</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>point outside</source>
        <translation>外部点</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>box</source>
        <translation>框</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>box outside</source>
        <translation>外部框</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>scribble inside</source>
        <translation>内部笔画</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>scribble outside</source>
        <translation>外部笔画</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>lasso</source>
        <translation>套索</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>lasso outside</source>
        <translation>外部套索</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptTools.py"/>
        <source>{first} to {last}</source>
        <translation>{first} 至 {last}</translation>
    </message>
</context>
<context>
    <name>Panels.PromptsPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Undo {step} ({key})</source>
        <translation>撤销：{step} ({key})</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Nothing to undo ({key})</source>
        <translation>没有可撤销的操作 ({key})</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Redo {step} ({key})</source>
        <translation>重做：{step} ({key})</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Nothing to redo ({key})</source>
        <translation>没有可重做的操作 ({key})</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Completing …</source>
        <translation>正在补全…</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Segmenting …</source>
        <translation>正在分割…</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>Drag from one corner of the box to the opposite one.</source>
        <translation>请从框的一角拖到对角。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 point inside</source>
        <translation>1 个内部点</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} points inside</source>
        <translation>{count} 个内部点</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 point outside</source>
        <translation>1 个外部点</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} points outside</source>
        <translation>{count} 个外部点</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 box</source>
        <translation>1 个框</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} boxes</source>
        <translation>{count} 个框</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 box outside</source>
        <translation>1 个外部框</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} boxes outside</source>
        <translation>{count} 个外部框</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 scribble</source>
        <translation>1 条笔画</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} scribbles</source>
        <translation>{count} 条笔画</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 scribble outside</source>
        <translation>1 条外部笔画</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} scribbles outside</source>
        <translation>{count} 条外部笔画</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 lasso</source>
        <translation>1 个套索</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} lassos</source>
        <translation>{count} 个套索</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>1 lasso outside</source>
        <translation>1 个外部套索</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>{count} lassos outside</source>
        <translation>{count} 个外部套索</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/PromptsPanel.py"/>
        <source>No prompt yet: choose a tool and mark the object in a slice view.</source>
        <translation>尚无提示：请选择工具，并在切片视图中标记目标。</translation>
    </message>
</context>
<context>
    <name>Panels.ResultPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>No slice has a certainty yet: segment something first.</source>
        <translation>尚无切片有确定度：请先进行分割。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Choose a segment first.</source>
        <translation>请先选择分割段。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>No view shows a slice of this segment.</source>
        <translation>没有视图显示此分割段的切片。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Slice {index} is confirmed: no result changes it. C takes it back.</source>
        <translation>切片 {index} 已确认：任何结果都不会更改它。按 C 可撤回。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Slice {index} is no longer confirmed.</source>
        <translation>切片 {index} 不再是已确认状态。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Name this segment {category}: name, colour and code follow.</source>
        <translation>将此分割段命名为 {category}：名称、颜色和编码随之改变。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>As named in {case}.</source>
        <translation>与 {case} 中的命名相同。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>unknown</source>
        <translation>未知</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>No segment chosen</source>
        <translation>未选择分割段</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>{name} (the model's name)</source>
        <translation>{name}（模型命名）</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>{name} (as named in {case})</source>
        <translation>{name}（与 {case} 中的命名相同）</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>{name} (your choice)</source>
        <translation>{name}（您的选择）</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>the model's category</source>
        <translation>模型给出的类别</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Slice {index} would help most</source>
        <translation>切片 {index} 最有帮助</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>{plane} slice {index}: {percent} % certain</source>
        <translation>{plane}切片 {index}：确定度 {percent} %</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>{plane} slice {index}: no result here</source>
        <translation>{plane}切片 {index}：此处无结果</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>{plane} slice {index}: confirmed</source>
        <translation>{plane}切片 {index}：已确认</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>No other category on this slice.</source>
        <translation>此切片上没有其他类别。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Probability of {category} on this slice.</source>
        <translation>此切片上出现 {category} 的概率。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Make {category} a segment</source>
        <translation>将 {category} 设为分割段</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ResultPanel.py"/>
        <source>Segmenting {category} on this slice …</source>
        <translation>正在此切片上分割 {category}…</translation>
    </message>
</context>
<context>
    <name>Panels.ServerPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>No SEG-SAM server is installed on this computer yet.

It gets a Python environment of its own in
{folder}
Slicer's Python is not touched. Up to {size} GB are downloaded with pip; that takes some minutes, and you can go on working. To remove it, delete the folder.

Install it now?</source>
        <translation>本机尚未安装 SEG-SAM 服务器。

它将使用自己的 Python 环境，位于
{folder}
不会改动 Slicer 的 Python。将通过 pip 下载最多 {size} GB；需要几分钟，期间您可以继续工作。要移除它，删除该文件夹即可。

现在安装吗？</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Installing …</source>
        <translation>正在安装…</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Starting …</source>
        <translation>正在启动…</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Stopping …</source>
        <translation>正在停止…</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Start</source>
        <translation>启动</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Install…</source>
        <translation>安装…</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Running on {address}.</source>
        <translation>正在 {address} 运行。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>The folder {folder} cannot be created: {error}.</source>
        <translation>无法创建文件夹 {folder}：{error}。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Stopped.</source>
        <translation>已停止。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>Installed.</source>
        <translation>已安装。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>The server ended (status {status}).</source>
        <translation>服务器已退出（状态 {status}）。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>The installation ended (status {status}).</source>
        <translation>安装已中止（状态 {status}）。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>See the log below.</source>
        <translation>请看下方日志。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/ServerPanel.py"/>
        <source>See the log in the section Server on this computer.</source>
        <translation>请看“本机服务器”部分的日志。</translation>
    </message>
</context>
<context>
    <name>Panels.WorkflowPanel</name>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>Loading the next image …</source>
        <translation>正在加载下一幅图像…</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>Every image on the server has a label.</source>
        <translation>服务器上的每幅图像都已有标注。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>Submitting …</source>
        <translation>正在提交…</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>Saved as version {version} of {image}.</source>
        <translation>已保存为 {image} 的第 {version} 版。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>The other label is in the scene, beside yours.</source>
        <translation>另一标注已在场景中，与您的标注并列。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>Starting …</source>
        <translation>正在启动…</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>{state} (epoch {epoch} of {epochs}).</source>
        <translation>{state}（第 {epoch} 轮，共 {epochs} 轮）。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>in use</source>
        <translation>使用中</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>{image} was left out: {reason}</source>
        <translation>{image} 被排除：{reason}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>{count} more were left out.</source>
        <translation>另有 {count} 例被排除。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>idle</source>
        <translation>空闲</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>waiting</source>
        <translation>等待中</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>running</source>
        <translation>运行中</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>done</source>
        <translation>完成</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>failed</source>
        <translation>失败</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Panels/WorkflowPanel.py"/>
        <source>stopped</source>
        <translation>已停止</translation>
    </message>
</context>
<context>
    <name>SEGSAM</name>
    <message>
        <location filename="../../SEGSAM.py"/>
        <source>SEG-SAM</source>
        <translation>SEG-SAM</translation>
    </message>
    <message>
        <location filename="../../SEGSAM.py"/>
        <source>Click, or draw a box or lasso, in a slice view: the structure is segmented, named and coded by a SEG-SAM server on this computer or elsewhere, which learns from what you submit. &lt;a href="https://github.com/SEG-SAM/SlicerSEGSAM/blob/main/docs/tutorial.md"&gt;Tutorial&lt;/a&gt;.</source>
        <translation>在切片视图中单击，或画框或套索：SEG-SAM 服务器（在本机或其他计算机上）会分割该结构并给出名称和编码，并从您提交的标注中学习。&lt;a href="https://github.com/SEG-SAM/SlicerSEGSAM/blob/main/docs/tutorial.md"&gt;教程&lt;/a&gt;。</translation>
    </message>
    <message>
        <location filename="../../SEGSAM.py"/>
        <source>Rebuilds SEG-SAM: Semantic-Guided SAM for Unified Medical Image Segmentation. For research; not a medical device.</source>
        <translation>SEG-SAM: Semantic-Guided SAM for Unified Medical Image Segmentation 的重新实现。仅供研究；不是医疗器械。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Not connected.</source>
        <translation>未连接。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Current task, or the result of the last one.</source>
        <translation>当前任务，或上一任务的结果。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Stop waiting for the server (Esc). Nothing in the scene changes.</source>
        <translation>不再等待服务器 (Esc)。场景不会改变。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Progress of the request that is running.</source>
        <translation>正在运行的请求的进度。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>A SEG-SAM server does the computing. Begin with:</source>
        <translation>计算由 SEG-SAM 服务器完成。请从以下方式开始：</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Shown until you have connected to a server for the first time.</source>
        <translation>在您首次连接服务器之前显示。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Try with the sample CT</source>
        <translation>用示例 CT 试用</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Download the sample CT (1 MB) by Slicer's Sample Data, and start a server on this computer. Asks before it installs one.</source>
        <translation>通过 Slicer 的 Sample Data 下载示例 CT (1 MB)，并在本机启动服务器。安装前会先询问。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Server on this computer</source>
        <translation>本机服务器</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Start a server on this computer and connect to it. Asks before it installs one.</source>
        <translation>在本机启动服务器并连接。安装前会先询问。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Server elsewhere</source>
        <translation>其他服务器</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Type the address of a server that somebody else runs.</source>
        <translation>输入由他人运行的服务器的地址。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Server</source>
        <translation>服务器</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Server that segments the images.</source>
        <translation>分割图像的服务器。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Address of the server. Without http:// and port these are added: http and 8000 on this computer, https elsewhere.</source>
        <translation>服务器地址。未写 http:// 和端口时自动补充：本机为 http 和 8000，其他为 https。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Connect</source>
        <translation>连接</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Test the address, the token and the certificate, and load what the server offers.</source>
        <translation>检查地址、令牌和证书，并加载服务器提供的内容。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Start a server below, or type the address of one and connect.</source>
        <translation>请在下方启动服务器，或输入服务器地址并连接。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Result of the connection test.</source>
        <translation>连接测试的结果。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Model</source>
        <translation>模型</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The server's models for prompts.</source>
        <translation>服务器上用于提示的模型。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Version</source>
        <translation>版本</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Version of the model in use. Changing it changes it for all users of this server.</source>
        <translation>使用中的模型版本。更改后对此服务器的所有用户生效。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Token</source>
        <translation>令牌</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>only if the server requires one</source>
        <translation>仅在服务器要求时填写</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The server's token. It is sent with every request, and to this server only.</source>
        <translation>服务器的令牌。随每个请求发送，且只发送到此服务器。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>keep</source>
        <translation>记住</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Store the token in your settings on this computer. Otherwise it is lost when Slicer ends.</source>
        <translation>将令牌保存在本机的设置中。否则 Slicer 关闭后即丢失。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Certificate</source>
        <translation>证书</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Certificate file (PEM) of your hospital's certification authority, trusted in addition to those of the system. Certificates are always checked.</source>
        <translation>您医院证书颁发机构的证书文件 (PEM)，在系统证书之外也予以信任。证书始终会被检查。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segment</source>
        <translation>分割段</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Choose a segment, and mark its object in the slice views.</source>
        <translation>选择一个分割段，并在切片视图中标记其目标。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Image</source>
        <translation>图像</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The image to segment. It is sent to the server once, when it is first needed.</source>
        <translation>要分割的图像。首次需要时发送到服务器一次。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segmentation</source>
        <translation>分割</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segmentation that gets the segments. You can continue an existing one.</source>
        <translation>存放分割段的分割。可以继续已有的分割。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>+</source>
        <translation>+</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Add a segment (N)</source>
        <translation>添加分割段 (N)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>-</source>
        <translation>-</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Remove the chosen segment and its prompts</source>
        <translation>移除所选分割段及其提示</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Next</source>
        <translation>下一个</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Choose the next segment (E)</source>
        <translation>选择下一个分割段 (E)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Show</source>
        <translation>显示</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Show or hide the chosen segment (G)</source>
        <translation>显示或隐藏所选分割段 (G)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Show the segments in the 3D views</source>
        <translation>在三维视图中显示分割段</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The selected segment gets the prompts and the result. Each segment has its own prompts.</source>
        <translation>所选分割段接收提示和结果。每个分割段有自己的提示。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Inside (A)</source>
        <translation>内部 (A)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Points inside the object (A): click in a slice view</source>
        <translation>目标内部的点 (A)：在切片视图中单击</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Outside (S)</source>
        <translation>外部 (S)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Points outside the object (S): click where the segment is too large</source>
        <translation>目标外部的点 (S)：在分割段过大处单击</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Scribble (D)</source>
        <translation>笔画 (D)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Scribble (D): draw a stroke with the button held down, inside the object or outside it (T)</source>
        <translation>笔画 (D)：按住鼠标画一笔，在目标内部或外部 (T)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Box (B)</source>
        <translation>框 (B)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Box on a slice (B): drag from corner to corner in any slice view, around the object or what is outside (T)</source>
        <translation>切片上的框 (B)：在任一切片视图中从一角拖到另一角，围绕目标或其外部 (T)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>3D box (V)</source>
        <translation>三维框 (V)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>3D box (V): drag from corner to corner; then adjust it in the views. The object is followed inside; with the sign outside (T), it is kept out of the box</source>
        <translation>三维框 (V)：从一角拖到另一角，然后在视图中调整。在框内追踪目标；符号为外部 (T) 时，目标不会进入框内</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Lasso (L)</source>
        <translation>套索 (L)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Lasso (L): draw an outline around the object with the button held down, or around what is outside (T)</source>
        <translation>套索 (L)：按住鼠标沿目标画轮廓，或沿其外部部分 (T)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Sign: inside (T)</source>
        <translation>符号：内部 (T)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Sign of the next prompts: inside the object, or outside it (T). A new segment starts with inside.</source>
        <translation>后续提示的符号：目标内部或外部 (T)。新的分割段从内部开始。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Undo</source>
        <translation>撤销</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Undo the last prompt or result (Ctrl+Z)</source>
        <translation>撤销上一个提示或结果 (Ctrl+Z)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Redo</source>
        <translation>重做</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Redo (Ctrl+Y)</source>
        <translation>重做 (Ctrl+Y)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Clear</source>
        <translation>清除</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Remove all prompts of the chosen segment; its voxels stay</source>
        <translation>移除所选分割段的全部提示；保留其体素</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Reset</source>
        <translation>重置</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Reset the segment: remove its prompts and its voxels (Shift+Backspace)</source>
        <translation>重置分割段：移除其提示和体素 (Shift+Backspace)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>No prompt yet.</source>
        <translation>尚无提示。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The prompts of the chosen segment.</source>
        <translation>所选分割段的提示。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Remove prompt</source>
        <translation>移除提示</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Remove the chosen prompt of the list, or the last one (Backspace)</source>
        <translation>移除列表中所选的提示，或最后一个 (Backspace)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>show</source>
        <translation>显示</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Show the prompts in the views (H). Hidden prompts are still sent.</source>
        <translation>在视图中显示提示 (H)。隐藏的提示仍会发送。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The prompts of the chosen segment, the last one at the end. Backspace removes the chosen one, and the result is computed again.</source>
        <translation>所选分割段的提示，最新的在最后。Backspace 移除所选提示，并重新计算结果。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Run (R)</source>
        <translation>运行 (R)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segment with the prompts of the chosen segment (R)</source>
        <translation>用所选分割段的提示进行分割 (R)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Follow (F)</source>
        <translation>追踪 (F)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Follow the object through all slices (always), or segment the slice of the prompts only, and what 3D boxes span (F)</source>
        <translation>在所有切片中追踪目标（始终），或只分割提示所在切片及三维框所跨的切片 (F)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>live</source>
        <translation>实时</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Run after each new, moved or deleted prompt. Otherwise only the button runs.</source>
        <translation>每次新增、移动或删除提示后运行。否则仅由按钮运行。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Confirm slice (C)</source>
        <translation>确认切片 (C)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Confirm the slice in view: the segment is right there, or empty (C). No result changes it; C again takes it back.</source>
        <translation>确认当前切片：该处分割段正确或为空 (C)。任何结果都不会更改它；再按 C 可撤回。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Complete (Shift+C)</source>
        <translation>补全 (Shift+C)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segment the rest from the confirmed slices, and from those that you drew or corrected by hand (Shift+C)</source>
        <translation>根据已确认的切片以及手动绘制或修正的切片分割其余部分 (Shift+C)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Name of an object, such as spleen</source>
        <translation>对象名称，例如 spleen</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Find an object by its name, without a prompt: a category, another name of it, or a name that was taught on the server. Enter starts the search.</source>
        <translation>按名称查找对象，无需提示：类别、其别名，或教给服务器的名称。按回车键开始查找。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Find</source>
        <translation>查找</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Look for the object in the whole volume. It becomes a segment of its name; what is not found is said here.</source>
        <translation>在整个体数据中查找该对象。它会成为以其名称命名的分割段；未找到的对象在此处说明。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Follow through slices</source>
        <translation>跨切片追踪</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>When the object is followed through slices: inside 3D boxes, always, or never.</source>
        <translation>何时跨切片追踪目标：在三维框内、始终或从不。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Across axis</source>
        <translation>切片轴</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Voxel axis across which the volume is sliced for the model; auto takes the view of the prompt, or else the planes in which the image was acquired.</source>
        <translation>为模型切分体数据时所垂直的体素轴；自动时取提示所在视图，否则取图像的采集平面。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Only slices</source>
        <translation>仅限切片</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Keep the result on these slices only.</source>
        <translation>只在这些切片上保留结果。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>First slice to keep.</source>
        <translation>要保留的第一个切片。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>to</source>
        <translation>至</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Last slice to keep.</source>
        <translation>要保留的最后一个切片。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Other segments</source>
        <translation>其他分割段</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Where another segment already is: take its voxels (overwrite), leave them to it (keep others), or have both (allow overlap).</source>
        <translation>已有其他分割段之处：取走其体素（覆盖）、留给它（保留其他）或两者共有（允许重叠）。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Result</source>
        <translation>结果</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Category of the object, certainty, and other categories on the slice.</source>
        <translation>目标的类别、确定度及切片上的其他类别。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>The segment's colour.</source>
        <translation>分割段的颜色。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>No result yet</source>
        <translation>尚无结果</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Category from the model, or your own choice.</source>
        <translation>模型给出的类别，或您自己的选择。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Your choice</source>
        <translation>您的选择</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Your own choice of category for this segment: name, colour and code follow, and the model does not change it again.</source>
        <translation>您为此分割段选择的类别：名称、颜色和编码随之改变，模型不会再更改。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Confidence</source>
        <translation>置信度</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Probability that the category is right, calibrated on validation data.</source>
        <translation>类别正确的概率，已用验证数据校准。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Agreement</source>
        <translation>一致性</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Agreement of both decoders on the mask (IoU). Check results with a low value first.</source>
        <translation>两个解码器的掩膜一致性 (IoU)。请优先检查数值低的结果。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Notes of the server about this result.</source>
        <translation>服务器对此结果的说明。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Nearest names (click to choose one)</source>
        <translation>最接近的名称（单击选择）</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Also present in this slice</source>
        <translation>此切片上还有</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Certainty, slice by slice</source>
        <translation>逐切片确定度</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Agreement of the decoders per slice: green where they agree, red where they do not, grey where there is no result, blue where you confirmed.</source>
        <translation>各切片上解码器的一致性：绿色为一致，红色为不一致，灰色为无结果，蓝色为已确认。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Go to a slice.</source>
        <translation>转到某一切片。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Worst</source>
        <translation>最差</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Go to the slice where the decoders agree least (W)</source>
        <translation>转到解码器一致性最低的切片 (W)</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Slice in view, and its certainty.</source>
        <translation>当前切片及其确定度。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Go to the slice on which the most is in doubt (W). Correct and confirm it, then complete again.</source>
        <translation>转到最不确定的切片 (W)。修正并确认后再次补全。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Update 3D</source>
        <translation>更新三维</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Compute the surfaces of the changed segments. This Slicer (before 5.10) stands still meanwhile, for seconds with a large organ; newer ones update them by themselves.</source>
        <translation>计算已更改分割段的表面。此版本的 Slicer（5.10 之前）在此期间会停顿，大器官需数秒；较新版本会自动更新。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segment Editor</source>
        <translation>分割编辑器</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Correct by hand with Slicer's own effects.</source>
        <translation>用 Slicer 自带的效果手动修正。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Label and learn</source>
        <translation>标注与学习</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Choose images, submit labels, train, and decide about the new version.</source>
        <translation>选择图像、提交标注、训练，并决定是否采用新版本。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>How the next image is chosen: where the decoders agree least, what is unlike the labelled ones, a mix of both, at random, or in order.</source>
        <translation>下一幅图像的选择方式：解码器一致性最低者、与已标注者不同者、两者混合、随机或按顺序。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Next image</source>
        <translation>下一幅图像</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Load the image that the model can learn most from, and show why it was chosen. The current segmentation is not saved.</source>
        <translation>加载模型最能从中学习的图像，并显示选择原因。当前分割不会保存。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Why this image was chosen.</source>
        <translation>选择此图像的原因。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Submit label</source>
        <translation>提交标注</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Save the segmentation on the server as a new version of this image's label. Earlier ones are kept.</source>
        <translation>将分割保存到服务器，作为此图像标注的新版本。保留以前的版本。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Result of the last submission.</source>
        <translation>上次提交的结果。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Label that another user saved since you started. The server keeps both labels.</source>
        <translation>在您开始之后由其他用户保存的标注。服务器保留两份标注。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Show theirs</source>
        <translation>显示对方的</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Load the other label beside yours, as a segmentation of its own.</source>
        <translation>将另一标注作为单独的分割加载，与您的并列。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Make mine current</source>
        <translation>采用我的</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Your label becomes the current one; theirs stays as an earlier version.</source>
        <translation>您的标注成为当前标注；对方的保留为先前版本。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Epochs</source>
        <translation>轮数</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Passes over the labelled images.</source>
        <translation>遍历已标注图像的次数。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Train</source>
        <translation>训练</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Train the model on all submitted labels, on the server. You can go on segmenting.</source>
        <translation>在服务器上用所有已提交的标注训练模型。您可以继续分割。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Stop</source>
        <translation>停止</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Stop the training; the version in use does not change.</source>
        <translation>停止训练；使用中的版本不变。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Loss and Dice of the running training, epoch by epoch.</source>
        <translation>正在进行的训练逐轮的损失和 Dice。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>No training yet.</source>
        <translation>尚无训练。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>State of the training.</source>
        <translation>训练的状态。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Versions of the model: how many cases they learnt from, and the Dice on held-out cases before and after.</source>
        <translation>模型的各版本：学习了多少例，以及训练前后在留出病例上的 Dice。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Cases</source>
        <translation>病例</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Before</source>
        <translation>之前</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>After</source>
        <translation>之后</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Why the chosen version was promoted or not.</source>
        <translation>所选版本被采用或未被采用的原因。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Use this version</source>
        <translation>使用此版本</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Use the chosen version from now on: accept a new one, or go back to an old one. No version is deleted.</source>
        <translation>从现在起使用所选版本：接受新版本，或退回旧版本。不会删除任何版本。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Not needed if you use a server on another computer.</source>
        <translation>如果使用其他计算机上的服务器，则不需要。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Not running.</source>
        <translation>未运行。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>State of the server that this module started.</source>
        <translation>由此模块启动的服务器的状态。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Start</source>
        <translation>启动</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Start a SEG-SAM server on this computer (127.0.0.1) and connect to it. Offers to install it first when it is missing.</source>
        <translation>在本机 (127.0.0.1) 启动 SEG-SAM 服务器并连接。如未安装，会先提供安装。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Stop the server that this module started.</source>
        <translation>停止由此模块启动的服务器。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Images</source>
        <translation>图像</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Folder of the images and labels that the server works on. Created when it is missing.</source>
        <translation>服务器使用的图像和标注的文件夹。不存在时自动创建。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Environment</source>
        <translation>环境</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Folder of the server's own Python environment. Slicer's Python is never touched.</source>
        <translation>服务器自己的 Python 环境的文件夹。绝不改动 Slicer 的 Python。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Output of the installation or the server.</source>
        <translation>安装过程或服务器的输出。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Advanced</source>
        <translation>高级</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Rarely needed.</source>
        <translation>很少需要。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Decoder</source>
        <translation>解码器</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>binary: the mask of the prompts; semantic: only what belongs to the category.</source>
        <translation>二值：提示的掩膜；语义：只含属于该类别的部分。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>CT window</source>
        <translation>CT 窗</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Hounsfield window of a CT for the model; empty for the server's choice.</source>
        <translation>供模型使用的 CT 亨氏窗；留空则由服务器选择。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Your name</source>
        <translation>您的姓名</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>goes with submitted labels</source>
        <translation>随提交的标注发送</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Name that is sent with submitted labels. Stored on this computer; if empty, no name is sent.</source>
        <translation>随提交的标注发送的姓名。保存在本机；留空则不发送姓名。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Unsaved work</source>
        <translation>未保存的工作</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Keep unsaved work on the server</source>
        <translation>在服务器上保留未保存的工作</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Segments and prompts are sent to the server that has the image, some seconds after each change, and offered when the image is opened again after a crash. The server deletes them after a submission, or after some days. At first on for a server on this computer and off for others. Off also deletes what is there.</source>
        <translation>每次更改几秒后，分割段和提示会发送到拥有该图像的服务器；崩溃后再次打开图像时会提供恢复。提交标签后或若干天后，服务器会将其删除。默认对本机上的服务器开启，对其他服务器关闭。关闭时也会删除已有内容。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Ask again before uploading</source>
        <translation>上传前再次询问</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Withdraw your consent to send images to this server.</source>
        <translation>撤回您对向此服务器发送图像的同意。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Forget drafts</source>
        <translation>清除草稿</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Delete all unsaved work of yours from the server. What is in the scene stays.</source>
        <translation>从服务器删除您所有未保存的工作。场景中的内容保持不变。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Export</source>
        <translation>导出</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>NIfTI…</source>
        <translation>NIfTI…</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Save the segmentation as a NIfTI label map, by Slicer's own exporter.</source>
        <translation>用 Slicer 自带的导出功能将分割保存为 NIfTI 标签图。</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>DICOM SEG…</source>
        <translation>DICOM SEG…</translation>
    </message>
    <message>
        <location filename="../../Resources/UI/SEGSAM.ui"/>
        <source>Export the segmentation with its coded categories, by Slicer's own DICOM export (needs the extension QuantitativeReporting).</source>
        <translation>用 Slicer 自带的 DICOM 导出功能导出分割及其编码类别（需要扩展 QuantitativeReporting）。</translation>
    </message>
</context>
<context>
    <name>SEGSAMLib.Errors</name>
    <message>
        <location filename="../../SEGSAMLib/Errors.py"/>
        <source>The image will be sent to {server}, which is another computer. Do you agree?</source>
        <translation>图像将发送到另一台计算机 {server}。您同意吗？</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Errors.py"/>
        <source>Nothing was sent.</source>
        <translation>未发送任何内容。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Errors.py"/>
        <source>The weights {weights} on {server} are not free for every use. Their licence:

{licence}

Is your use allowed by it? You are asked once for these weights on this server.</source>
        <translation>{server} 上的权重 {weights} 并非可用于任何用途。其许可证：

{licence}

您的用途是否为其所允许？对此服务器上的这些权重只询问一次。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Errors.py"/>
        <source>The licence of the weights was not accepted, so they were not used.</source>
        <translation>未接受权重的许可证，因此未使用这些权重。</translation>
    </message>
</context>
<context>
    <name>SEGSAMLib.Widget</name>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>Cancelled; nothing was changed.</source>
        <translation>已取消；未作任何更改。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>You will be asked before an image is sent to {server}.</source>
        <translation>在图像发送到 {server} 之前将询问您。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>Save as NIfTI</source>
        <translation>另存为 NIfTI</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>Folder for the DICOM segmentation</source>
        <translation>DICOM 分割的文件夹</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>Saved: {path}</source>
        <translation>已保存：{path}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>{category}: {added} voxels more, {removed} fewer.</source>
        <translation>{category}：增加 {added} 个体素，减少 {removed} 个。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>{added} voxels more, {removed} fewer.</source>
        <translation>增加 {added} 个体素，减少 {removed} 个。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>{category}: nothing changed.</source>
        <translation>{category}：没有变化。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Widget.py"/>
        <source>Nothing changed.</source>
        <translation>没有变化。</translation>
    </message>
</context>
<context>
    <name>SEGSAMLib.Workflow</name>
    <message>
        <location filename="../../SEGSAMLib/Workflow.py"/>
        <source>Another volume was chosen meanwhile; nothing was changed.</source>
        <translation>期间选择了另一个体数据；未作任何更改。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Workflow.py"/>
        <source>The server has no such version of this label.</source>
        <translation>服务器没有此标注的这一版本。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Workflow.py"/>
        <source>{image} version {number} of {user}</source>
        <translation>{image} 第 {number} 版（{user}）</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Workflow.py"/>
        <source>{image} version {number}</source>
        <translation>{image} 第 {number} 版</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Workflow.py"/>
        <source>Connect to a server first.</source>
        <translation>请先连接服务器。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Workflow.py"/>
        <source>This volume has no label on the server yet.</source>
        <translation>此体数据在服务器上尚无标注。</translation>
    </message>
</context>
<context>
    <name>Scene.DraftExchange</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/DraftExchange.py"/>
        <source>Another segmentation was chosen; the unsaved work waits.</source>
        <translation>已选择另一个分割；未保存的工作将等待。</translation>
    </message>
</context>
<context>
    <name>Scene.FileExchange</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>There is nothing to save yet: all segments are empty.</source>
        <translation>尚无可保存的内容：所有分割段都是空的。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>Expected a label of {expected} voxels like the volume, got {found}.</source>
        <translation>需要与体数据相同的 {expected} 体素的标注，得到的是 {found}。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>Slicer could not export the segmentation. Is it empty?</source>
        <translation>Slicer 无法导出该分割。它是空的吗？</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>{path} cannot be written: {reason}.</source>
        <translation>无法写入 {path}：{reason}。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>A DICOM segmentation needs a volume that was loaded from DICOM; this one was not.</source>
        <translation>DICOM 分割需要从 DICOM 加载的体数据；当前体数据不是。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>Slicer exports DICOM segmentations with its extension QuantitativeReporting: install it in the Extensions Manager.</source>
        <translation>Slicer 通过扩展 QuantitativeReporting 导出 DICOM 分割：请在扩展管理器中安装它。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>The images of the volume are no longer in Slicer's DICOM database.</source>
        <translation>该体数据的图像已不在 Slicer 的 DICOM 数据库中。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>Slicer could not export the segmentation: {problem}</source>
        <translation>Slicer 无法导出该分割：{problem}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/FileExchange.py"/>
        <source>The file that the server sent cannot be read.</source>
        <translation>无法读取服务器发送的文件。</translation>
    </message>
</context>
<context>
    <name>Scene.Frames</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/Frames.py"/>
        <source>Choose a volume first.</source>
        <translation>请先选择体数据。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/Frames.py"/>
        <source>{first} and {second} are under different transforms, and one is not linear. Put both under the same transform, or harden it.</source>
        <translation>{first} 和 {second} 位于不同的变换之下，且其中一个不是线性的。请将两者置于同一变换之下，或固化该变换。</translation>
    </message>
</context>
<context>
    <name>Scene.Logic</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/Logic.py"/>
        <source>reset of the segment</source>
        <translation>重置分割段</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/Logic.py"/>
        <source>confirmation of a slice</source>
        <translation>确认切片</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/Logic.py"/>
        <source>choice of a category</source>
        <translation>选择类别</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/Logic.py"/>
        <source>The reply belongs to an earlier request; nothing was changed.</source>
        <translation>该回复属于先前的请求；未作任何更改。</translation>
    </message>
</context>
<context>
    <name>Scene.SampleCT</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/SampleCT.py"/>
        <source>The sample CT could not be downloaded: is this computer connected to the Internet? An image of your own will do, too.</source>
        <translation>无法下载示例 CT：本机是否已连接互联网？也可以使用您自己的图像。</translation>
    </message>
</context>
<context>
    <name>Scene.SceneNodes</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/SceneNodes.py"/>
        <source>Choose a segment first.</source>
        <translation>请先选择分割段。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SceneNodes.py"/>
        <source>Choose a segmentation first.</source>
        <translation>请先选择分割。</translation>
    </message>
</context>
<context>
    <name>Scene.SegmentPrompts</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>point</source>
        <translation>点</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>box</source>
        <translation>框</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>scribble</source>
        <translation>笔画</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>lasso</source>
        <translation>套索</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>removal of a prompt</source>
        <translation>移除一个提示</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>removal of all prompts</source>
        <translation>移除全部提示</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/SegmentPrompts.py"/>
        <source>change of a prompt</source>
        <translation>修改一个提示</translation>
    </message>
</context>
<context>
    <name>Scene.Segments</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/Segments.py"/>
        <source>The segmentation was changed meanwhile.</source>
        <translation>该分割在此期间已被更改。</translation>
    </message>
</context>
<context>
    <name>Scene.UndoHistory</name>
    <message>
        <location filename="../../SEGSAMLib/Scene/UndoHistory.py"/>
        <source>The segmentation has another voxel grid than at this step, so it cannot be undone.</source>
        <translation>该分割的体素网格与此步骤时不同，因此无法撤销。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Scene/UndoHistory.py"/>
        <source>Another step was made meanwhile; nothing was changed.</source>
        <translation>在此期间进行了另一步骤；未作任何更改。</translation>
    </message>
</context>
<context>
    <name>Server.Client</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>{url} is the MONAI Label app {name}, which does not have the SEG-SAM requests; start the SEG-SAM app there.</source>
        <translation>{url} 是 MONAI Label 应用 {name}，不支持 SEG-SAM 的请求；请在那里启动 SEG-SAM 应用。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>without a name</source>
        <translation>（无名称）</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>Connected to {name} {version} at {url}: names {count} categories.</source>
        <translation>已连接到 {url} 的 {name} {version}：可命名 {count} 个类别。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>Connected to {name} {version} at {url}: names nothing.</source>
        <translation>已连接到 {url} 的 {name} {version}：不提供名称。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>The connection is not encrypted: use https for images of patients.</source>
        <translation>连接未加密：传输患者图像请使用 https。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>Expected the id of an image, got {found}.</source>
        <translation>需要图像的标识，得到的是 {found}。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>downloading {image}</source>
        <translation>正在下载 {image}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>segmenting</source>
        <translation>正在分割</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>learning from your slices: {done} of {total}</source>
        <translation>正在从您的切片学习：{done}/{total}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Client.py"/>
        <source>slice {done} of {total}</source>
        <translation>第 {done} 层，共 {total} 层</translation>
    </message>
</context>
<context>
    <name>Server.Http</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>Expected a token of ASCII characters without spaces.</source>
        <translation>令牌应由不含空格的 ASCII 字符组成。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>{url} cannot be reached: {reason}.</source>
        <translation>无法访问 {url}：{reason}。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>Expected a reply of at most {limit} MB, and the server announces {size} MB.</source>
        <translation>回复应不超过 {limit} MB，而服务器声明为 {size} MB。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>in an encoding that was not requested</source>
        <translation>采用了未请求的编码</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>endless</source>
        <translation>没有结尾</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>The server's reply was cut off; try again.</source>
        <translation>服务器的回复被截断；请重试。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>The certificate file {path} cannot be read as PEM.</source>
        <translation>无法将证书文件 {path} 读取为 PEM。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>The server's certificate is not accepted: {reason}. If your hospital issued it, choose the hospital's certificate file (CA) in the section Server.</source>
        <translation>服务器的证书未被接受：{reason}。如果它由您的医院签发，请在“服务器”部分选择医院的证书文件 (CA)。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>{url} does not speak TLS as it should; is it http:// instead of https://?</source>
        <translation>{url} 的 TLS 通信不正常；是否应为 http:// 而不是 https://？</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>There is no computer named {host}.</source>
        <translation>没有名为 {host} 的计算机。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>No server runs at {url}: start it, or check host and port.</source>
        <translation>{url} 上没有运行服务器：请启动它，或检查主机和端口。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>{url} did not answer within {seconds} s: it is busy, or a firewall blocks the connection.</source>
        <translation>{url} 在 {seconds} 秒内未应答：它正忙，或被防火墙阻止。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Http.py"/>
        <source>{url} closed the connection, or does not speak HTTP.</source>
        <translation>{url} 关闭了连接，或不支持 HTTP。</translation>
    </message>
</context>
<context>
    <name>Server.HttpReply</name>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>no JSON object</source>
        <translation>不是 JSON 对象</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server redirects to {target}. If that is right, enter it as the address.</source>
        <translation>服务器重定向到 {target}。如果正确，请将其作为地址输入。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server requires a token, or another one than this.</source>
        <translation>服务器需要令牌，或需要另一个令牌。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server replied with status {status} and gave no reason.</source>
        <translation>服务器以状态 {status} 回复，且未说明原因。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server did not understand the request; is it of another version?</source>
        <translation>服务器不理解该请求；它是否为其他版本？</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server does not allow this.</source>
        <translation>服务器不允许此操作。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server does not have this. Is it a SEG-SAM server, and is the address right?</source>
        <translation>服务器没有此内容。它是 SEG-SAM 服务器吗？地址正确吗？</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server does not accept uploads of this size.</source>
        <translation>服务器不接受这么大的上传。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The proxy in front of the server gets no reply from it.</source>
        <translation>服务器前的代理未得到其回复。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The server is busy; try again in a moment.</source>
        <translation>服务器正忙；请稍后重试。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The proxy in front of the server waited too long for it.</source>
        <translation>服务器前的代理等待过久。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>a web page</source>
        <translation>是一个网页</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>no JSON</source>
        <translation>不是 JSON</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/HttpReply.py"/>
        <source>The reply is {kind}: this is not a SEG-SAM server, or one of another version.</source>
        <translation>收到的回复{kind}：这不是 SEG-SAM 服务器，或是其他版本。</translation>
    </message>
</context>
<context>
    <name>Server.Install</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Install.py"/>
        <source>The server needs Python 3.10, 3.11 or 3.12 of its own, and none was found on this computer. Install one from python.org (Windows, macOS) or with your package manager (Linux: python3 with python3-venv), and try again.</source>
        <translation>服务器需要独立的 Python 3.10、3.11 或 3.12，而在本机上未找到。请从 python.org（Windows、macOS）或通过软件包管理器（Linux：python3 和 python3-venv）安装，然后重试。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Install.py"/>
        <source>There is no server in {folder}: install it first.</source>
        <translation>{folder} 中没有服务器：请先安装。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Install.py"/>
        <source>No port of 127.0.0.1 is free.</source>
        <translation>127.0.0.1 没有空闲端口。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Install.py"/>
        <source>The server needs {needed} GB in {folder}, which has {free} GB left: free some space, or choose another folder.</source>
        <translation>服务器需要在 {folder} 中占用 {needed} GB，而那里只剩 {free} GB：请腾出空间，或选择其他文件夹。</translation>
    </message>
</context>
<context>
    <name>Server.Process</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Process.py"/>
        <source>{program} could not be started: {error}.</source>
        <translation>无法启动 {program}：{error}。</translation>
    </message>
</context>
<context>
    <name>Server.ReplyReaders</name>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>belongs to another request</source>
        <translation>属于另一个请求</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>No image without a label can be opened.</source>
        <translation>没有任何未标注的图像可以打开。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>{count} image(s) cannot be opened: {names} and others.</source>
        <translation>有 {count} 幅图像无法打开：{names} 等。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>{count} image(s) cannot be opened: {names}.</source>
        <translation>有 {count} 幅图像无法打开：{names}。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>does not contain the version under which the label was saved</source>
        <translation>不包含标注所保存的版本号</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>does not contain the state of the training</source>
        <translation>不包含训练状态</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>contains no version of the model</source>
        <translation>不包含模型的任何版本</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>contains a mask whose encoding is not {encoding}</source>
        <translation>包含编码不是 {encoding} 的掩膜</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>is for a volume of {other} voxels, and this one has {own}</source>
        <translation>针对 {other} 体素的体数据，而当前体数据为 {own}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>contains a mask from {low} to {high}, which is not in the volume</source>
        <translation>包含从 {low} 至 {high} 的掩膜，它不在体数据内</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>contains a mask that cannot be unpacked</source>
        <translation>包含无法解压的掩膜</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>contains {found} where a voxel was expected</source>
        <translation>在应为体素处包含 {found}</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/ReplyReaders.py"/>
        <source>The server's reply {problem}; nothing was changed.</source>
        <translation>服务器的回复{problem}；未作任何更改。</translation>
    </message>
</context>
<context>
    <name>Server.Transport</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Transport.py"/>
        <source>sending {done} of {total} MB</source>
        <translation>已发送 {done} MB，共 {total} MB</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Transport.py"/>
        <source>The server sent a file of a type that cannot be opened.</source>
        <translation>服务器发送的文件类型无法打开。</translation>
    </message>
</context>
<context>
    <name>Server.Uploads</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Uploads.py"/>
        <source>reading the image</source>
        <translation>正在读取图像</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Uploads.py"/>
        <source>preparing the image</source>
        <translation>正在准备图像</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Uploads.py"/>
        <source>Expected the id of a session, got {found}.</source>
        <translation>需要会话的标识，得到的是 {found}。</translation>
    </message>
</context>
<context>
    <name>Server.Worker</name>
    <message>
        <location filename="../../SEGSAMLib/Server/Worker.py"/>
        <source>Cancelled; nothing was changed.</source>
        <translation>已取消；未作任何更改。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Server/Worker.py"/>
        <source>This is a bug of the SEG-SAM module; the Python console has the details.</source>
        <translation>这是 SEG-SAM 模块的错误；详情见 Python 控制台。</translation>
    </message>
</context>
<context>
    <name>Values.Address</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Address.py"/>
        <source>Type the server's address, such as {local} or {remote}.</source>
        <translation>请输入服务器地址，例如 {local} 或 {remote}。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Address.py"/>
        <source>Expected an address of scheme, host, port and path only. Enter a token in its own field.</source>
        <translation>地址只应包含协议、主机、端口和路径。令牌请在单独的栏中输入。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Address.py"/>
        <source>Expected an address such as {local} or {remote}, got {typed}.</source>
        <translation>需要如 {local} 或 {remote} 的地址，得到的是 {typed}。</translation>
    </message>
</context>
<context>
    <name>Values.Completions</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Completions.py"/>
        <source>Confirm a slice of the segment first (C): outline the object on it, or correct what the model drew.</source>
        <translation>请先确认分割段的一个切片 (C)：在其上勾画目标，或修正模型绘制的结果。</translation>
    </message>
</context>
<context>
    <name>Values.Draft</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Draft.py"/>
        <source>This unsaved work is not kept on the server: it has {size} MB, and at most {most} MB are kept. Save the scene, or submit the label.</source>
        <translation>此未保存的工作未保留在服务器上：其大小为 {size} MB，最多保留 {most} MB。请保存场景或提交标签。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Draft.py"/>
        <source>The unsaved work on the server has the format {found}, and this module reads format {format}. A newer version of it may read it.</source>
        <translation>服务器上未保存的工作格式为 {found}，而此模块读取格式 {format}。较新的版本或许可以读取。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Draft.py"/>
        <source>The unsaved work on the server lies on another voxel grid.</source>
        <translation>服务器上未保存的工作位于另一体素网格。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Draft.py"/>
        <source>The unsaved work on the server cannot be read.</source>
        <translation>无法读取服务器上未保存的工作。</translation>
    </message>
</context>
<context>
    <name>Values.Geometry</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The volume has no usable geometry: its voxels have no size.</source>
        <translation>该体数据没有可用的几何信息：其体素没有大小。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The point lies outside the volume: voxel {axis} = {index}, and the volume has 0 to {last}.</source>
        <translation>该点位于体数据之外：体素 {axis} = {index}，而体数据的范围是 0 至 {last}。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>sagittal</source>
        <translation>矢状位</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>coronal</source>
        <translation>冠状位</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>axial</source>
        <translation>轴位</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The box has no area: drag from one corner to the opposite one.</source>
        <translation>该框没有面积：请从一角拖到对角。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The scribble has no points.</source>
        <translation>该笔画没有点。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The scribble lies outside the volume.</source>
        <translation>该笔画位于体数据之外。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The box lies outside the volume: voxels {low} to {high} along {axis}, and the volume has 0 to {last}.</source>
        <translation>该框位于体数据之外：沿 {axis} 的体素为 {low} 至 {high}，而体数据的范围是 0 至 {last}。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The box is only one voxel wide along {axis} inside the volume: draw a larger one.</source>
        <translation>该框在体数据内沿 {axis} 只有一个体素宽：请画大一些。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>The box reached outside the volume and was clipped to it.</source>
        <translation>该框超出体数据，已按其范围裁剪。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Geometry.py"/>
        <source>Expected points with three finite coordinates, got {points}.</source>
        <translation>需要具有三个有限坐标的点，得到的是 {points}。</translation>
    </message>
</context>
<context>
    <name>Values.ImageFiles</name>
    <message>
        <location filename="../../SEGSAMLib/Values/ImageFiles.py"/>
        <source>Expected a volume of numbers, got voxels of the type {type}, which cannot be sent.</source>
        <translation>需要由数字组成的体数据，得到的是类型为 {type} 的体素，无法发送。</translation>
    </message>
</context>
<context>
    <name>Values.Layers</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Layers.py"/>
        <source>The segment was removed.</source>
        <translation>该分割段已被移除。</translation>
    </message>
</context>
<context>
    <name>Values.Outlines</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Outlines.py"/>
        <source>The outline lies outside the volume.</source>
        <translation>该轮廓位于体数据之外。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Outlines.py"/>
        <source>The outline has no area inside the volume: draw around the object.</source>
        <translation>该轮廓在体数据内没有面积：请沿目标画一圈。</translation>
    </message>
</context>
<context>
    <name>Values.Prompts</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Prompts.py"/>
        <source>Mark the object first: a box or lasso around it, or a point or scribble inside it.</source>
        <translation>请先标记目标：围绕它画框或套索，或在其内部加点或笔画。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Prompts.py"/>
        <source>The prompts in this scene have the format {found}, and this module reads formats 1 and {newest}. A newer version of it may read them.</source>
        <translation>此场景中的提示格式为 {found}，而此模块读取格式 1 和 {newest}。较新的版本也许能读取。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Prompts.py"/>
        <source>The prompts in this scene cannot be read: {text}.</source>
        <translation>无法读取此场景中的提示：{text}。</translation>
    </message>
</context>
<context>
    <name>Values.Results</name>
    <message>
        <location filename="../../SEGSAMLib/Values/Results.py"/>
        <source>The segment was removed before the result came; nothing was changed.</source>
        <translation>该分割段在结果到达前已被移除；未作任何更改。</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Results.py"/>
        <source>completion</source>
        <translation>补全</translation>
    </message>
    <message>
        <location filename="../../SEGSAMLib/Values/Results.py"/>
        <source>result</source>
        <translation>结果</translation>
    </message>
</context>
<context>
    <name>qSlicerAbstractCoreModule</name>
    <message>
        <location filename="../../SEGSAM.py"/>
        <source>Segmentation</source>
        <translation type="unfinished"></translation>
    </message>
</context>
</TS>
