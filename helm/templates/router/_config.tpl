{{/* The router's settings: what users set, and over it what only the chart can know. */}}
{{- define "headgate.router.config" -}}
{{- $controlplane := printf "%s-controlplane.%s.svc:50052" (include "headgate.fullname" .) .Release.Namespace -}}
{{- $own := dict
    "topology" (dict "address" $controlplane)
    "http" (dict "host" "0.0.0.0" "port" 8080)
    "grpc" (dict "host" "0.0.0.0" "port" 50051)
-}}
{{- if include "headgate.tlsSecret" (dict "root" . "component" "router") -}}
{{- $_ := set $own "tls" (dict "folder" "/etc/headgate/tls") -}}
{{- end -}}
{{- if include "headgate.router.predictorSource" . -}}
{{- $predictor := .Values.router.predictor | default dict -}}
{{- if dig "predictor" "path" "" .Values.router.config }}{{ fail "give one of router.predictor and router.config.predictor.path" }}{{ end -}}
{{- $folder := "/etc/headgate/predictor" -}}
{{- $files := dict "path" (printf "%s/%s" $folder (empty $predictor.configMap | ternary $predictor.path (default "artefact.npz" $predictor.key))) -}}
{{- with $predictor.shadow }}{{ $_ := set $files "shadow" (printf "%s/%s" $folder .) }}{{ end -}}
{{- $_ := set $own "predictor" $files -}}
{{- end -}}
{{- mergeOverwrite (deepCopy .Values.router.config) $own | toYaml -}}
{{- end }}

{{/* The volume with the predictor's artefact; empty without one. */}}
{{- define "headgate.router.predictorSource" -}}
{{- /* Values that were kept from an older release have no such key. */ -}}
{{- $predictor := .Values.router.predictor | default dict -}}
{{- if and $predictor.configMap $predictor.existingClaim }}{{ fail "give one of router.predictor.configMap and router.predictor.existingClaim" }}{{ end -}}
{{- if and $predictor.existingClaim (not $predictor.path) }}{{ fail "router.predictor.path must say where in the claim the artefact is" }}{{ end -}}
{{- with $predictor.configMap }}configMap: {name: {{ . }}}{{ end -}}
{{- with $predictor.existingClaim }}persistentVolumeClaim: {claimName: {{ . }}, readOnly: true}{{ end -}}
{{- end }}
