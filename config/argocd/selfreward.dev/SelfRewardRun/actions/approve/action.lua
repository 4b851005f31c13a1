-- The iteration after the last that has begun: what `selfreward approve` does where nothing else is said.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
local last = (obj.status or {}).iteration or 0
obj.metadata.annotations["selfreward.dev/approved-iteration"] = tostring(last + 1)
return obj
