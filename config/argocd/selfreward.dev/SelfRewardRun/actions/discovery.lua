-- What can be done with a SelfRewardRun now. Each does what `selfreward suspend`, `resume`, `retry` and `approve` do.
local spec = obj.spec or {}
local status = obj.status or {}
local is = {}
for _, condition in ipairs(status.conditions or {}) do
  is[condition.type] = condition.status == "True"
end
local suspended = spec.suspend == true
local finished = is.Succeeded == true or is.Failed == true
local asks = spec.schedule ~= nil and spec.schedule.approval == true

return {
  ["suspend"] = {
    ["disabled"] = suspended or finished,
    ["iconClass"] = "fa fa-fw fa-pause",
    ["displayName"] = "Suspend"
  },
  ["resume"] = {
    ["disabled"] = not suspended,
    ["iconClass"] = "fa fa-fw fa-play",
    ["displayName"] = "Resume"
  },
  ["retry"] = {
    ["disabled"] = is.Failed ~= true,
    ["iconClass"] = "fa fa-fw fa-redo",
    ["displayName"] = "Retry from the failed step"
  },
  ["approve"] = {
    ["disabled"] = not (asks and status.phase == "Waiting"),
    ["iconClass"] = "fa fa-fw fa-check",
    ["displayName"] = "Approve the next iteration"
  }
}
