{{- define "pillion.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "pillion.labels" -}}
{{ include "pillion.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "pillion.selector" -}}
app.kubernetes.io/name: pillion
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "pillion.metadata" -}}
{{- .Values.metadata.existingConfigMap | default (printf "%s-metadata" (include "pillion.name" .)) -}}
{{- end -}}

{{- define "pillion.container" -}}
- name: pillion
  image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  {{- if .Values.upstream.containers }}
  restartPolicy: Always
  {{- end }}
  args: [serve, --config, /etc/pillion/config/pillion.yaml, --metadata, /etc/pillion/metadata]
  workingDir: /var/lib/pillion
  env:
    - name: PILLION_ADMIN_LISTEN
      value: 0.0.0.0:8001
    - name: PILLION_UPSTREAM
      value: {{ required "upstream.url: where is the upstream?" .Values.upstream.url | quote }}
    {{- with .Values.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.existingSecret }}
  envFrom:
    - secretRef:
        name: {{ . }}
  {{- end }}
  ports:
    - name: graphql
      containerPort: 8000
    - name: pillion-admin
      containerPort: 8001
  startupProbe:
    httpGet: { path: /healthz, port: pillion-admin }
    periodSeconds: 1
    failureThreshold: 30
  livenessProbe:
    httpGet: { path: /healthz, port: pillion-admin }
    periodSeconds: 10
    timeoutSeconds: 2
  readinessProbe:
    httpGet: { path: /readyz, port: pillion-admin }
    periodSeconds: 2
    timeoutSeconds: 2
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    readOnlyRootFilesystem: true
    allowPrivilegeEscalation: false
    capabilities: { drop: [ALL] }
    seccompProfile: { type: RuntimeDefault }
  volumeMounts:
    - { name: pillion-config, mountPath: /etc/pillion/config, readOnly: true }
    - { name: pillion-metadata, mountPath: /etc/pillion/metadata, readOnly: true }
    - { name: pillion-data, mountPath: /var/lib/pillion }
{{- end -}}
