// Where logs and telemetry go. Both require a sign-in: knowing a key or connection string is not enough to write.

param name string
param location string
param tags { *: string }
param retentionDays int

@description('A workspace that exists, by its resource ID. Empty: one is made.')
param existingWorkspaceId string

// Telemetry's tables keep 90 days of their own, whatever the workspace keeps.
var telemetryTables = [
  'AppAvailabilityResults'
  'AppDependencies'
  'AppExceptions'
  'AppMetrics'
  'AppPerformanceCounters'
  'AppRequests'
  'AppSystemEvents'
  'AppTraces'
]

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = if (empty(existingWorkspaceId)) {
  name: name
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionDays
    features: {
      disableLocalAuth: true
    }
  }
}

// One at a time: a workspace refuses changes of several tables at once.
@batchSize(1)
resource table 'Microsoft.OperationalInsights/workspaces/tables@2025-07-01' = [
  for tableName in telemetryTables: if (empty(existingWorkspaceId)) {
    parent: workspace
    name: tableName
    properties: {
      retentionInDays: retentionDays
      totalRetentionInDays: retentionDays
    }
  }
]

resource component 'Microsoft.Insights/components@2020-02-02' = {
  name: name
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: empty(existingWorkspaceId) ? workspace.id : existingWorkspaceId
    DisableLocalAuth: true
  }
}
