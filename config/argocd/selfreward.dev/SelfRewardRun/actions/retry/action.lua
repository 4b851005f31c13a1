-- Any value asks once; the operator removes it.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["selfreward.dev/retry"] = "argo-cd"
return obj
