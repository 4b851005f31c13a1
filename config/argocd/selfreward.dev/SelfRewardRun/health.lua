-- Health of a SelfRewardRun, read from its conditions. They follow kstatus: Reconciling, Stalled and Ready.
-- Healthy only at the end, so that a sync wave after a run waits for its model. What waits for a person is Suspended.
local function answer(status, message)
  return {status = status, message = message}
end

local metadata = obj.metadata or {}
local status = obj.status or {}
if metadata.annotations ~= nil and metadata.annotations["selfreward.dev/paused"] == "true" then
  return answer("Suspended", "the operator leaves the run alone (annotation selfreward.dev/paused)")
end
if status.observedGeneration ~= metadata.generation then
  return answer("Progressing", "the operator has not seen this generation yet")
end

local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end
local function holds(kind)
  return found[kind] ~= nil and found[kind].status == "True"
end
local function told(kind)
  local condition = found[kind]
  if condition == nil then
    return ""
  end
  if condition.message == nil or condition.message == "" then
    return condition.reason
  end
  return condition.reason .. ": " .. condition.message
end

for _, kind in ipairs({"Failed", "Stalled"}) do
  if holds(kind) then
    return answer("Degraded", told(kind))
  end
end
if holds("Succeeded") then
  return answer("Healthy", told("Succeeded"))
end
if holds("Suspended") then
  return answer("Suspended", told("Suspended"))
end
if found.Ready ~= nil and found.Ready.reason == "WaitingForApproval" then
  return answer("Suspended", told("Ready"))
end
return answer("Progressing", told("Ready"))
