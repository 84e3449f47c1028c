{{/* Names and labels. */}}
{{- define "headgate.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $stem := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- default $stem .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* What a component's Service and workload select. usage: dict "root" $ "component" "router" */}}
{{- define "headgate.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of a component's pods. Without versions: a new chart alone must not restart anything. usage: as above */}}
{{- define "headgate.podLabels" -}}
{{- $own := include "headgate.selectorLabels" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "headgate" -}}
{{- mergeOverwrite (deepCopy (dig "podLabels" dict (default dict .settings))) .root.Values.commonLabels $own | toYaml -}}
{{- end }}

{{/* Labels of every object of a component. usage: as above */}}
{{- define "headgate.labels" -}}
{{ include "headgate.podLabels" (omit . "settings") }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* An image. usage: dict "root" $ "image" .Values.router.image */}}
{{- define "headgate.image" -}}
{{- $name := .image.repository -}}
{{- with .root.Values.imageRegistry }}{{ $name = printf "%s/%s" (trimSuffix "/" .) $name }}{{ end -}}
{{- if .image.digest }}{{ $name }}@{{ .image.digest }}{{ else }}{{ $name }}:{{ default .root.Chart.AppVersion .image.tag }}{{ end -}}
{{- end }}

{{/* Watched namespaces, and those that hold pools as far as the chart can know, as JSON arrays. */}}
{{- define "headgate.watched" -}}
{{- .Values.namespaces | default (list .Release.Namespace) | uniq | toJson -}}
{{- end }}
{{- define "headgate.everywhere" -}}
{{- if has "*" .Values.namespaces }}true{{ end -}}
{{- end }}
{{- define "headgate.poolNamespaces" -}}
{{- $some := include "headgate.watched" . | fromJsonArray -}}
{{- if include "headgate.everywhere" . }}{{ $some = prepend .Values.poolNamespaces .Release.Namespace }}{{ end -}}
{{- $some | uniq | toJson -}}
{{- end }}

{{/* Secret with the TLS files of a component; empty without TLS. usage: dict "root" $ "component" "router" */}}
{{- define "headgate.tlsSecret" -}}
{{- $tls := .root.Values.tls -}}
{{- if eq $tls.mode "existing" -}}
{{ required (printf "tls.existing.%s must name a Secret with tls.mode existing" .component) (index $tls.existing .component) }}
{{- else if ne $tls.mode "none" -}}
{{ include "headgate.fullname" .root }}-{{ .component }}-tls
{{- end -}}
{{- end }}
