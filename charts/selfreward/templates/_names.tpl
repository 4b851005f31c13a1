{{- define "selfreward.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for the longest suffix. */}}
{{- define "selfreward.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "selfreward.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "selfreward.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Roles of the cluster carry the namespace too: there may be one release in each. */}}
{{- define "selfreward.clusterName" -}}
{{- printf "%s-%s" (include "selfreward.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "selfreward.selectorLabels" -}}
app.kubernetes.io/name: {{ include "selfreward.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "selfreward.labels" -}}
{{ include "selfreward.selectorLabels" . }}
app.kubernetes.io/part-of: selfreward
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "selfreward.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "selfreward.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "selfreward.leaseName" -}}
{{- default (include "selfreward.fullname" .) .Values.leaderElection.leaseName -}}
{{- end -}}

{{/* (list $ "judge") → registry/repository@digest or :tag */}}
{{- define "selfreward.image" -}}
{{- $root := index . 0 -}}
{{- $image := index $root.Values.images (index . 1) -}}
{{- with $root.Values.images.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest -}}
@{{ $image.digest }}
{{- else -}}
:{{ default $root.Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}

{{/* A list of names, each of which may end with `*`, as a regular expression for the whole name. */}}
{{- define "selfreward.namePattern" -}}
{{- $patterns := list -}}
{{- range . }}{{ $patterns = append $patterns (regexQuoteMeta . | replace "\\*" ".*") }}{{ end -}}
^(?:{{ join "|" $patterns }})$
{{- end -}}

{{/*
A list of prefixes of images as a regular expression. A prefix ends where a part of the name does: `example.com/team` is
neither `example.com/team-b` nor, as the registry `example.com`, another one at `example.com:5000`.
*/}}
{{- define "selfreward.imagePattern" -}}
{{- $patterns := list -}}
{{- range . }}
{{- $pattern := ternary ".*" (printf "%s(?:/.*|[:@][^/]*)?" (trimSuffix "/" . | regexQuoteMeta)) (eq . "*") -}}
{{- $patterns = append $patterns $pattern -}}
{{- end -}}
^(?:{{ join "|" $patterns }})$
{{- end -}}
