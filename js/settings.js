import { app } from "../../scripts/app.js"

app.registerExtension({
  name: "ZeroConv.Settings",
  settings: [
    {
      id: "ZeroConv.StandIns",
      category: ["ZeroConv", "Other packs", "Stand-ins"],
      name: "Stand in for nodes of packs that are not installed",
      tooltip: "Nodes of comfyui_controlnet_aux and Advanced-ControlNet, under their own names. Restart ComfyUI after a change.",
      type: "boolean",
      defaultValue: true,
    },
  ],
})
